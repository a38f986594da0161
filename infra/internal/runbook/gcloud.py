# Parses gcloud commands with gcloud's own parser and runs none of them. Input: a JSON list of argument lists. Output:
# a JSON list with one object for each command (Parsed in gcloud.go).
import contextlib
import io
import json
import sys

from googlecloudsdk import gcloud_main
from googlecloudsdk.core import log

parser = gcloud_main.CreateCLI([])._CLI__parser


def parse(args):
    """Returns the command that args call and "", or None and the error."""
    err = io.StringIO()
    log.Reset(stdout=err, stderr=err)  # it keeps the streams that it was created with
    try:
        with contextlib.redirect_stderr(err):
            parsed = parser.parse_args(args)
            return parsed._GetCommand(), ""
    except SystemExit:
        lines = [l for l in err.getvalue().splitlines() if l.startswith("ERROR")]
        return None, (lines or ["ERROR: gcloud cannot parse this"])[0]


def describe(args):
    command, error = parse(args)
    if command is None:
        return {"Error": error}
    path = command.GetPath()[1:]
    all_flags = {}
    for a in list(command.ai.flag_args) + list(command.ai.ancestor_flag_args):
        for option in a.option_strings:
            all_flags[option] = a.nargs != 0
    flags, required = {}, []
    for i, word in enumerate(args):
        name = word.split("=")[0]
        if not word.startswith("-"):
            continue
        flags[name] = all_flags[name]
        if parse(args[:i] + args[i + 1 :])[1]:
            required.append(name)
    least = most = 0
    for a in command.ai.positional_args:
        least += 0 if a.nargs in ("?", "*") else 1
        most += 100 if a.nargs in ("*", "+") else 1
    return {
        "Name": " ".join(path),
        "Usage": {
            "Flags": flags,
            "Required": sorted(required),
            "Regional": "--region" in all_flags,
            "Least": least,
            "Most": most,
        },
    }


json.dump([describe(c) for c in json.load(sys.stdin)], sys.stdout)
