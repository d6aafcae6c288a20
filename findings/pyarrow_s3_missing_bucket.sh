#!/bin/sh
# pyarrow 26.0.1 (S3FileSystem) with moto 5.2.5: of four usual ways to look into a bucket, one tells that
# the bucket does not exist. By the others it is a bucket in which nothing is yet:
#
#                                                            no such bucket       empty bucket
#   get_file_info("bucket/traces")                           NotFound             NotFound
#   get_file_info(FileSelector(..., allow_not_found=True))   []                   []
#   open_input_file("bucket/traces/part.parquet")            FileNotFoundError    FileNotFoundError
#   get_file_info(FileSelector("bucket/traces"))             OSError              FileNotFoundError
#
# Who is hit: whoever lists a prefix that may be new, with allow_not_found: a misspelt bucket reads as
# one without data, and a job that finds nothing to do succeeds. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "pyarrow==26.0.1" "moto[server]==5.2.5" || exit 2
cat > "$folder/look.py" <<'PYTHON'
import os
import sys

os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_EC2_METADATA_DISABLED="true")

from moto.server import ThreadedMotoServer
from pyarrow import fs

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = fs.S3FileSystem(endpoint_override=f"http://{host}:{port}", region="us-east-1", allow_bucket_creation=True)
s3.create_dir("bucket")


def outcome(look):
    try:
        found = look()
    except OSError as error:
        return type(error).__name__
    return found.type.name if isinstance(found, fs.FileInfo) else found


def looks(bucket):
    path = f"{bucket}/traces"
    return {
        "info": outcome(lambda: s3.get_file_info(path)),
        "list, may be missing": outcome(
            lambda: s3.get_file_info(fs.FileSelector(path, allow_not_found=True))
        ),
        "list": outcome(lambda: s3.get_file_info(fs.FileSelector(path))),
        "open": outcome(lambda: s3.open_input_file(f"{path}/part.parquet").close()),
    }


missing, empty = looks("no-bucket"), looks("bucket")
server.stop()
print("no bucket:   ", missing)
print("empty bucket:", empty)
alike = {"info": "NotFound", "list, may be missing": [], "open": "FileNotFoundError"}
expected = ({**alike, "list": "OSError"}, {**alike, "list": "FileNotFoundError"})
sys.exit(0 if (missing, empty) == expected else 1)
PYTHON
"$folder/venv/bin/python" "$folder/look.py" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
