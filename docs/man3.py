#!/usr/bin/env python3
"""One manual page per function of the native API, out of the comments in include/greenhook/.

    docs/man3.py DIRECTORY [VERSION]     writes DIRECTORY/gh_*.3; exit 1 when a comment is not complete
    docs/man3.py --list                  prints the functions

The form of a comment is in docs/native.md, "Comments of functions"; complaints() is what must hold.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = sorted((ROOT / "include" / "greenhook").glob("*.h"))
FUNCTION = re.compile(r"/\*((?:(?!\*/).)*)\*/\s*GH_API\s+((?:[^;{](?!GH_API))*?)\b(gh_\w+)\((.*?)\)\s*;", re.S)
DECLARED = re.compile(r"\bGH_API\b[^;]*?\b(gh_\w+)\s*\(", re.S)
FACTS = ("Parks", "Cancellation point", "Thread-safe", "Signal-safe")


class Page:
    def __init__(self, header, comment, returns, name, parameters):
        self.header, self.name = header, name
        self.prototype = re.sub(r"\s+", " ", f"{returns}{name}({parameters});").replace("* ", "*").strip()
        self.parameters = [re.sub(r"\[.*", "", p).split()[-1].lstrip("*") if "(*" not in p else
                           re.search(r"\(\*(\w+)\)", p).group(1)
                           for p in re.split(r",(?![^(]*\))", parameters) if p.strip() not in ("void", "", "...")]
        lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.strip("\n").splitlines()]
        lines[0] = lines[0].strip()
        text = "\n".join(lines).strip()
        self.summary, _, rest = text.partition("\n\n")
        self.summary = " ".join(self.summary.split())
        body, self.returns, tail = rest, "", ""
        found = re.search(r"^Returns:", rest, re.M)
        if found:
            body, rest = rest[:found.start()].strip(), rest[found.end():]
            end = re.search(r"^(Parks|Like|Since):", rest, re.M)
            self.returns, tail = (rest[:end.start()], rest[end.start():]) if end else (rest, "")
        self.body = [" ".join(p.split()) for p in re.split(r"\n\s*\n", body) if p.strip()]
        tail = " ".join(tail.split())
        self.facts = {}
        marks = [m for m in re.finditer(r"\b(Parks|Cancellation point|Thread-safe|Signal-safe|Like|Since):", tail)]
        for mark, after in zip(marks, marks[1:] + [None]):
            value = tail[mark.end():after.start() if after else len(tail)].strip()
            self.facts[mark.group(1)] = value.rstrip(".") if mark.group(1) != "Like" else value

    def complaints(self):
        if not self.summary.endswith((".", "?")):
            yield "no summary that ends with a full stop"
        if not self.returns.strip():
            yield "no Returns:"
        for fact in FACTS:
            value = self.facts.get(fact, "")
            if not re.match(r"(yes|no)\b", value):
                yield f"no '{fact}: yes' or 'no'"
        if not re.match(r"\d+\.\d+$", self.facts.get("Since", "")):
            yield "no 'Since: N.N'"
        said = " ".join([self.summary, *self.body, self.returns])
        for p in self.parameters:
            # The object itself, named by its type in the summary, needs no word of its own.
            kind = re.search(rf"\bgh_(\w+) \*(?:const )?{p}\b", self.prototype)
            words = [p] + ([p.split("_")[-1], *kind.group(1).split("_")] if kind else [])
            if not any(re.search(rf"\b{re.escape(w)}", said, re.I) for w in words):
                yield f"parameter {p} is not mentioned"

    def roff(self, version, others):
        def plain(s):
            s = s.replace("\\", "\\e").replace("-", "\\-")
            s = re.sub(r"\b(gh_\w+)\(\)", r"\\fB\1\\fP(3)", s)
            s = re.sub(r"\b([a-z_0-9]+)\((\d)\)", r"\\fB\1\\fP(\2)", s)
            for p in self.parameters:
                s = re.sub(rf"(?<![\w\\]){re.escape(p)}(?=:| )", rf"\\fI{p}\\fP", s)
            return "\\&" + s if s[:1] in ".'" else s
        out = [f'.TH {self.name} 3 "" "greenhook {version}" "greenhook"', ".SH NAME",
               f"{self.name} \\- {plain(self.summary[:1].lower() + self.summary[1:].rstrip('.?'))}",
               ".SH SYNOPSIS", ".nf", ".B #include <greenhook.h>", ".PP",
               "\\fB" + self.prototype.replace("\\", "\\e") + "\\fP", ".fi", ".PP",
               "Link with \\fI\\-lgreenhook\\fP."]
        if self.body:
            out.append(".SH DESCRIPTION")
            for i, paragraph in enumerate(self.body):
                out += ([".PP"] if i else []) + [plain(paragraph)]
        out.append(".SH RETURN VALUE")
        intro, errors = [], []
        for line in self.returns.splitlines():
            error = re.match(r"\s+(-?E[A-Z0-9]+|other negative values:?)\s*(.*)", line)
            if error:
                errors.append([error.group(1), error.group(2)])
            elif errors and line.strip():
                if line.startswith("  "):
                    errors[-1][1] += " " + line.strip()
                else:
                    intro.append(line.strip())
            elif line.strip():
                intro.append(line.strip())
        out.append(plain(" ".join(" ".join(intro).split())))
        if errors:
            out.append(".SH ERRORS")
            for code, why in errors:
                out += [".TP", f".B {plain(code.rstrip(':'))}", plain(why) or "\\&"]
        out.append(".SH ATTRIBUTES")
        for fact in FACTS:
            out += [".TP", f".B {plain(fact)}", plain(self.facts[fact])]
        out += [".SH VERSIONS", f"Since greenhook {self.facts['Since']}."]
        see = [n for n in others if n != self.name][:8]
        out.append(".SH SEE ALSO")
        if self.facts.get("Like"):
            out += [plain(self.facts["Like"]), ".PP"]
        out.append(",\n".join([f".BR {n} (3)".replace(" (3)", " (3)") for n in see]).replace(",\n", "\n")
                   if see else ".BR greenhook (7)")
        return "\n".join(out) + "\n"


def pages():
    found = []
    for header in HEADERS:
        text = header.read_text()
        here = [Page(header.name, *m.groups()) for m in FUNCTION.finditer(text)]
        missing = set(DECLARED.findall(text)) - {p.name for p in here}
        if missing:
            raise SystemExit(f"{header.name}: no comment directly above {', '.join(sorted(missing))}")
        found += here
    return found


def main(arguments):
    all_pages = pages()
    if arguments == ["--list"]:
        print("\n".join(sorted(p.name for p in all_pages)))
        return 0
    bad = [f"{p.header}: {p.name}: {c}" for p in all_pages for c in p.complaints()]
    if bad:
        print("\n".join(bad), file=sys.stderr)
        return 1
    target = pathlib.Path(arguments[0])
    target.mkdir(parents=True, exist_ok=True)
    for p in all_pages:
        others = sorted(o.name for o in all_pages if o.header == p.header)
        (target / f"{p.name}.3").write_text(p.roff(arguments[1] if len(arguments) > 1 else "", others))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
