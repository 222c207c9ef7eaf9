"""What doctor.json tells."""


def found(report, severity=None):
    return {
        (entry["severity"], entry["kind"], entry["path"])
        for entry in report["findings"]
        if entry["kind"] != "split" and severity in (None, entry["severity"])
    }
