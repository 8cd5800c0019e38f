"""What Compose runs to see whether the application is well: there is no curl in the image."""

import urllib.request

print(urllib.request.urlopen("http://127.0.0.1:8000/alive", timeout=2).status)
