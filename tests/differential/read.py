"""Reads each byte string as a server's connection with h11: the requests in it, and what is left over."""

import base64
import json
import sys

import h11


def read(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    connection.receive_data(b"")
    requests, current = [], None
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                hosts = [value for name, value in event.headers if name == b"host"]
                current = [event.method, event.target, b", ".join(hosts), b""]
            elif isinstance(event, h11.Data):
                current[3] += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                requests.append([base64.b64encode(bytes(part)).decode() for part in current])
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
            else:
                break
    except h11.RemoteProtocolError:
        return {"requests": requests, "whole": False}
    rest, _closed = connection.trailing_data
    return {"requests": requests, "whole": not rest}


json.dump([read(base64.b64decode(text)) for text in json.load(sys.stdin)], sys.stdout)
