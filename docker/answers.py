"""Exit code 0 when an address of this container answers 200, as a health check needs it; the image has no curl."""

import sys
from urllib.request import ProxyHandler, build_opener

# A proxy configured for the internet must not see calls to this container.
with build_opener(ProxyHandler({})).open(sys.argv[1], timeout=8) as answer:
    sys.exit(answer.status != 200)
