"""Systems without a network, to be beaten: called like one, ``adapt(support)`` then ``(ldr) -> exposure``."""
