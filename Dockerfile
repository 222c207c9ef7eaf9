FROM python:3.11
WORKDIR /ldr2hdr
COPY . .
RUN make install
ENV PATH="/ldr2hdr/.venv/bin:$PATH"
ENTRYPOINT ["ldr2hdr"]
