"""What can be heard in recordings, and when: `python3 examples/tag.py FILE...`

Python's standard library is enough.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

URL = os.environ.get("EARSHOT_URL", "http://localhost:8080")


def ask(path, clip, **parameters):
    """Send the bytes of a recording; what the service refuses is a urllib.error.HTTPError."""
    headers = {"Content-Type": "application/octet-stream"}
    if "EARSHOT_API_KEY" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['EARSHOT_API_KEY']}"
    query = urllib.parse.urlencode(parameters)
    request = urllib.request.Request(f"{URL}{path}?{query}", data=clip, headers=headers)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def main(names):
    """Print tags and events of each file; return whether all were answered."""
    is_all = True
    for name in names:
        clip = Path(name).read_bytes()
        try:
            tags = ask("/v1/tags", clip, top_k=3)["tags"]
            events = ask("/v1/events", clip, max_events=3)["events"]
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            print(f"{name}: {problem['title']}. {problem['detail']}", file=sys.stderr)
            is_all = False
            continue
        print(name)
        for tag in tags:
            print(f"  {tag['score']:.3f} {tag['label']}")
        for event in events:
            start, end = event["start_seconds"], event["end_seconds"]
            print(f"  {start:.2f} to {end:.2f} s {event['label']}")
    return is_all


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
