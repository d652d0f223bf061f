"""Says hello with what the image's recipe put in place."""

import os
import pathlib
import subprocess

greeting = os.environ["GREETING"]
version = pathlib.Path("/python-version.txt").read_text().strip()

print(subprocess.run(["figlet", "Kiln"], capture_output=True, text=True, check=True).stdout)
print(f"{greeting}: {version}, in {os.getcwd()} as uid {os.getuid()}")
