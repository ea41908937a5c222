"""Recordings that sound most like one of them: `python3 examples/search.py QUERY FILE...`

One request for all files: a list in their order, in which a bad one has a problem for a vector.
"""

import json
import os
import sys
import urllib.request
import uuid
from pathlib import Path

URL = os.environ.get("EARSHOT_URL", "http://localhost:8080")


def embed(names):
    """Vectors of unit length, None for what could not be heard."""
    boundary = uuid.uuid4().hex
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{i}"\r\n\r\n'.encode()
        + Path(name).read_bytes()
        + b"\r\n"
        for i, name in enumerate(names)
    )
    body += f"--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if "EARSHOT_API_KEY" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['EARSHOT_API_KEY']}"
    request = urllib.request.Request(f"{URL}/v1/embeddings", data=body, headers=headers)
    with urllib.request.urlopen(request) as reply:
        return [entry.get("embedding") for entry in json.load(reply)["data"]]


def main(query, *names):
    """Print the files, nearest first."""
    wanted, *vectors = embed([query, *names])
    found = [
        (sum(x * y for x, y in zip(wanted, vector)), name)
        for name, vector in zip(names, vectors)
        if vector is not None
    ]
    for cosine, name in sorted(found, reverse=True):
        print(f"{cosine:.3f} {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
