class Refused(Exception):
    """Raised by work for a request that it cannot serve. The client is told the message, with status 400."""
