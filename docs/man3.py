#!/usr/bin/env python3
"""One manual page per function of the native API, out of the comments in include/greenhook/.

    docs/man3.py DIRECTORY [VERSION]     writes DIRECTORY/gh_*.3; exit 1 when a comment is not complete
    docs/man3.py --list                  prints the functions

The form of a comment is in docs/native.md, "Comments of functions"; complaints() is what must hold.  Types and macros that a
prototype or its text names are shown below the prototype, as the header has them; Definition says which.
"""
import itertools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = sorted((ROOT / "include" / "greenhook").glob("*.h"))
FUNCTION = re.compile(r"/\*((?:(?!\*/).)*)\*/\s*GH_API\s+((?:[^;{](?!GH_API))*?)\b(gh_\w+)\((.*?)\)\s*;", re.S)
DECLARED = re.compile(r"\bGH_API\b[^;]*?\b(gh_\w+)\s*\(", re.S)
# Comment directly above, if any, and: a structure, an enumeration, the type of a function or a number, macros in a row.
DEFINITION = re.compile(
    r"^(?P<comment>/\*(?:(?!\*/).)*\*/\n)?(?P<text>"
    r"(?:typedef\s+)?struct\s+(?P<struct>gh_\w+)\s*\{.*?^\}[^;]*;|"
    r"enum\s*\{.*?^\};|"
    r"typedef\s[^;{]*?\(\*(?P<function>gh_\w+)\)[^;]*;|"
    r"typedef\s+u?int\w+\s+(?P<number>gh_\w+);|"
    r"(?:\#define\s+GH_(?:[^\n]*\\\n)*[^\n]*\n)+)", re.M | re.S)
MACRO = re.compile(r"^#define\s+(GH_\w+(?:\([^)]*\))?)[ \t]*((?:[^\n]*\\\n)*[^\n]*)", re.M)
OURS_ALONE = {"GH_API", "GH_BEGIN_DECLS", "GH_END_DECLS", "GH_CHAN_INLINE"}
FACTS = ("Parks", "Cancellation point", "Thread-safe", "Signal-safe")


def verbatim(lines):
    """Lines that are not filled."""
    safe = [line.rstrip().expandtabs(8).replace("\\", "\\e").replace("-", "\\-") for line in lines]
    return [".nf"] + ["\\&" + line if line[:1] in ("", ".", "'") else line for line in safe] + [".fi"]


class Definition:
    """Something that pages show: of a structure with private fields only the name, of a macro with a long body or an
    initialiser only how it is written."""
    def __init__(self, match, struct_before):
        self.comment = re.sub(r"^/\* -+ (.*?) -+$", r"/* \1", match["comment"] or "", flags=re.M)
        text = match["text"].rstrip()
        self.type = match["struct"] or match["function"] or match["number"]
        self.struct, self.initialises = match["struct"], None
        self.lines = text.splitlines()
        if text.startswith("#define"):
            self.lines, names = [], []
            for name, body in MACRO.findall(text):
                names.append(name.partition("(")[0])
                body = " ".join(body.replace("\\\n", " ").split())
                if body.startswith("{"):
                    self.initialises = struct_before
                    body = f"/* initialises a {struct_before} */" if struct_before else ""
                if names[-1] not in OURS_ALONE:
                    self.lines.append(f"#define {name} {body if len(body) < 90 else ''}".rstrip())
            self.names = set(names)
        else:
            self.names = set(re.findall(r"\bGH_\w+(?=\s*=)", text)) if text.startswith("enum") else set()
            if self.struct and "private" in self.comment:
                self.lines = [f"typedef struct {self.struct} {{ ... }} {self.struct};"]
        self.said = self.comment + ("" if self.names else "\n".join(self.lines))

    def belongs_to(self, page_name, shown, words):
        """To a page that shows these definitions already and says these words."""
        types = {d.struct for d in shown if d.struct}
        return (self.type in words or self.initialises in types or
                any(n in words or any(w.endswith("_") and n.startswith(w) for w in words) for n in self.names) or
                bool(types & set(re.findall(r"\bgh_\w+", self.comment))) or f"{page_name}()" in self.comment)

    @staticmethod
    def of(text):
        found, before = [], (None, 0)
        for m in DEFINITION.finditer(text):
            near = before[0] if not text[before[1]:m.start()].strip() else None
            found.append(Definition(m, near))
            before = (m["struct"] or near, m.end())
        return [d for d in found if d.lines]


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
            body, rest = rest[:found.start()].strip("\n"), rest[found.end():]
            end = re.search(r"^(Parks|Like|Since):", rest, re.M)
            self.returns, tail = (rest[:end.start()], rest[end.start():]) if end else (rest, "")
        # Paragraphs; lines that are indented are code, which is a list.
        self.body = []
        for is_code, lines in itertools.groupby(body.splitlines() + [""], lambda line: line[:2] == "  " if line else None):
            if is_code is not None:
                self.body.append([line[2:] for line in lines] if is_code else " ".join(" ".join(lines).split()))
        tail = " ".join(tail.split())
        self.facts = {}
        marks = [m for m in re.finditer(r"\b(Parks|Cancellation point|Thread-safe|Signal-safe|Like|Since):", tail)]
        for mark, after in zip(marks, marks[1:] + [None]):
            value = tail[mark.end():after.start() if after else len(tail)].strip()
            self.facts[mark.group(1)] = value.rstrip(".") if mark.group(1) != "Like" else value

    def said(self):
        return " ".join([self.summary, *(p if isinstance(p, str) else "\n".join(p) for p in self.body), self.returns])

    def shown(self, definitions):
        words = set(re.findall(r"\bgh_\w+", self.prototype)) | set(re.findall(r"\bGH_\w+", self.said()))
        shown = []
        while True:
            more = [d for d in definitions if d not in shown and d.belongs_to(self.name, shown, words)]
            if not more:
                return [d for d in definitions if d in shown]
            shown += more
            for d in more:
                words |= set(re.findall(r"\bGH_\w+", d.said)) | (set(re.findall(r"\bgh_\w+", d.said)) if d.struct else set())

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
        said = self.said()
        for p in self.parameters:
            # The object itself, named by its type in the summary, needs no word of its own.
            kind = re.search(rf"\bgh_(\w+) \*(?:const )?{p}\b", self.prototype)
            words = [p] + ([p.split("_")[-1], *kind.group(1).split("_")] if kind else [])
            if not any(re.search(rf"\b{re.escape(w)}", said, re.I) for w in words):
                yield f"parameter {p} is not mentioned"

    def roff(self, version, others, definitions):
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
               "\\fB" + self.prototype.replace("\\", "\\e") + "\\fP", ".fi"]
        for d in self.shown(definitions):
            out += [".PP"] + verbatim(d.comment.splitlines() + d.lines)
        out += [".PP", "Link with \\fI\\-lgreenhook\\fP."]
        if self.body:
            out.append(".SH DESCRIPTION")
            for i, paragraph in enumerate(self.body):
                out += [".PP"] if i else []
                out += [plain(paragraph)] if isinstance(paragraph, str) else [".RS 4", *verbatim(paragraph), ".RE"]
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
    found, definitions = [], []
    for header in HEADERS:
        text = header.read_text()
        definitions += Definition.of(text)
        here = [Page(header.name, *m.groups()) for m in FUNCTION.finditer(text)]
        missing = set(DECLARED.findall(text)) - {p.name for p in here}
        if missing:
            raise SystemExit(f"{header.name}: no comment directly above {', '.join(sorted(missing))}")
        found += here
    return found, definitions


def main(arguments):
    all_pages, definitions = pages()
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
        (target / f"{p.name}.3").write_text(p.roff(arguments[1] if len(arguments) > 1 else "", others, definitions))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
