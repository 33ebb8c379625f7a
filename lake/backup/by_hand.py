# SPDX-License-Identifier: Apache-2.0
"""What a place of copies says about itself, for whoever finds it without this software."""

README = "README.txt"
README_TEXT = """\
Copies of a lake of swxlake
===========================

objects/AA/HASH               the bytes of a file; HASH is their sha256, AA its first two digits
objects/AA/HASH.KEYS.age      the same, encrypted with age (https://age-encryption.org); KEYS stands for a set of keys
snapshots/TIME-HASH.jsonl.gz  what the lake was made of at TIME (UTC); HASH is the beginning of the sha256 of this file
renewals/                     sizes and hashes of objects that were encrypted once more, after the snapshots were made

Nothing here is ever changed or deleted by swxlake, except that a damaged object is replaced by a whole one.

With swxlake:  swxlake restore --place-folder THIS_FOLDER --root NEW_LAKE

By hand, with gzip, jq, sha256sum and age:

1. Take a snapshot, the newest for example, and see that it is whole: both of these begin with the same 16 digits.
     ls snapshots | tail -n 1 ; sha256sum snapshots/TIME-HASH.jsonl.gz
2. The first line tells about the lake. Each other line is a file: its path (key), size, sha256, and its object.
     gunzip -c snapshots/TIME-HASH.jsonl.gz | head -n 1
3. Copy each object to its path. This is for bash; nothing is written outside of the folder NEW.
     gunzip -c snapshots/TIME-HASH.jsonl.gz | tail -n +2 | jq -r '[.key, .object] | @tsv' |
     while IFS=$'\\t' read -r key object; do
       mkdir -p "NEW/$(dirname "$key")"
       case "$object" in
         *.age) age --decrypt -i KEY_FILE "$object" > "NEW/$key" ;;
         *)     cp "$object" "NEW/$key" ;;
       esac
     done
4. See that every byte is what it was.
     gunzip -c snapshots/TIME-HASH.jsonl.gz | tail -n +2 | jq -r '"\\(.sha256)  NEW/\\(.key)"' |
     sha256sum --check --quiet
5. NEW/config has the settings and definitions that were in use: move that folder away from the lake.
   NEW/tables has Delta tables, NEW/raw the files as they arrived, NEW/exports the products.
"""
