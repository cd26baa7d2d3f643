r"""The formula at the beginning of a docstring, in TeX: "C = (1/n) sum_i (x_i - m)(x_i - m)^T, shape (p, p)" gives
C = \frac{1}{n} \sum_{i} (x_{i} - m)(x_{i} - m)^{\top} and the rest, "shape (p, p)".

Symbol by symbol: nothing is moved, simplified or guessed, and one symbol that is not known leaves all of it as it was.
"""

import re

GREEK = {
    **{name: f"\\{name}" for name in "alpha beta gamma delta eta theta lambda mu pi rho sigma tau psi phi nu".split()},
    **{name: f"\\{name}" for name in "Sigma Phi Lambda Gamma Delta".split()},
    "eps": r"\varepsilon",
}
OPERATORS = {  # names that stand upright, some with an index below
    **{name: f"\\{name}" for name in "log exp tanh cos sin max min inf sup ln".split()},
    "sum": r"\sum", "prod": r"\prod", "grad": r"\nabla",
    **{name: rf"\operatorname*{{{name}}}" for name in ("argmax", "argmin")},
    **{name: rf"\operatorname{{{name}}}" for name in "KL ELBO JSD Var softplus tr diag Bernoulli softmax".split()},
}  # fmt: skip
FUNCTIONS = set("log exp tanh cos sin ln softplus softmax tr diag".split())  # these have no index
NAMES = {"mean", "logvar", "rec", "kl", "elbo", "s2"}  # of the code, upright; those of a function's arguments are added
SIGNS = {
    "<=": r"\le", ">=": r"\ge", "<-": r"\leftarrow", "->": r"\to", "||": r"\,\|\,", "~": r"\sim", "=": "=", "<": "<",
    ">": ">", "+": "+", "-": "-", "/": "/", ",": r",\;", ";": ";", "[": "[", "]": "]", "(": "(", ")": ")", "|": "|",
}  # fmt: skip
TOKEN = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z]\w*'*|<=|>=|<-|->|\|\||[~=<>+\-*/,;:.()\[\]{}|^]|\s+|.")
TUPLE = re.compile(r", +\(\w+,(?: [\w ]+,?)*\)")  # ", (n, k)": a shape, not a part of the formula
AFTER = set("for over at with when along and subject from".split())  # words that may follow a whole formula
LETTER_AND_DIGIT = re.compile(r"(?!s2)[A-Za-z]\d")  # m1 has an index; s2 is the code's word for a square
OPEN, CLOSE = "([{", ")]}"
JOINING = {"=", "<=", ">=", "<-", "->", "~", "<", ">", "+", "-", "/", ",", ";", "^", "||", "*"}


class Unknown(Exception):
    """A symbol that would have to be guessed."""


def split(text, arguments=()):
    """(TeX, the rest of the text), or None where the text does not begin with a formula that is known through."""
    names = NAMES | {name for name in arguments if len(name) > 1}
    end = _end(text, names)
    formula, rest = text[:end].rstrip(" ,;"), text[end:].lstrip(" ,;:.")
    says = len(TOKEN.findall(formula)) > 4 and re.search(r"[=<>~^/]|sum_|\|\||\bE\b|E_|log ", formula)
    if not says or re.search(r", else|otherwise", rest):  # half of a definition by cases is wrong
        return None
    try:
        return to_tex(formula, names), rest
    except Unknown:
        return None


def _end(text, names):
    """Where the formula ends: at a colon, a full stop, a shape, or a word of prose outside all brackets."""
    depth, last, comma, ends = 0, 0, 0, 0
    for found in TOKEN.finditer(text):
        token, at = found[0], found.start()
        if depth == 0:
            shape = token == "(" and text[:at].endswith(" ") and re.match(r"\((\w+,|slide)", text[at:])  # "x (n,)"
            if shape or token in ":;" or TUPLE.match(text, at) or _ends_sentence(text, at):
                ends = at
                break
            if _prose(token, names):  # "E[f] of ..." would cut a thought in two: back to the comma
                ends = at if token in AFTER else comma
                break
            comma = at if token == "," else comma
        depth += (token in OPEN) - (token in CLOSE)
        last = found.end()
    else:
        ends = last
    bare = comma < ends and not re.search(r"[=<>~]", text[comma:ends]) and re.search(r"[=<>~]", text[:comma])
    return comma if bare else ends  # "elbo = rec - kl, rec ..."


def _ends_sentence(text, at):
    return text[at] == "." and (at + 1 == len(text) or text[at + 1].isspace())


def _prose(token, names):
    return token[0].isalpha() and token != "sqrt" and not _known(token, names)


def _known(token, names):
    try:
        _name(token, names)
    except Unknown:
        return False
    return True


def to_tex(formula, names=NAMES):
    """The formula in TeX; Unknown when a symbol is not known or brackets do not close."""
    tokens = TOKEN.findall(formula)
    tex, at = _sequence(tokens, 0, "", names)
    if at != len(tokens) or not tokens or tokens[-1] in JOINING:
        raise Unknown(formula)
    return tex


def _sequence(tokens, at, closing, names):
    """TeX of tokens from ``at`` to the bracket ``closing``, which is not taken."""
    out = []
    while at < len(tokens) and tokens[at] != closing:
        token = tokens[at]
        if token in CLOSE:
            raise Unknown(token)
        if token.isspace():
            product = at and _operand(tokens[at - 1]) and _operand(tokens[at + 1 : at + 2])
            out.append(r"\, " if product else " ")
            at += 1
        elif token == "~":
            law = re.match(r"\s*([Npq]\(|U\[)", "".join(tokens[at + 1 : at + 4]))
            if not law:
                raise Unknown(token)  # about equal, or of a law without a name
            out.append(SIGNS[token])
            at += 1
        elif token == "^":
            raised, at = _raised(tokens, at + 1, names)
            out.append(f"^{{{raised}}}")
        elif half := _fraction(tokens, at):
            out.append(half)
            at += 5 if token == "(" else 3
        elif token == "(":
            inner, at = _group(tokens, at, names)
            out.append(f"({inner})")
        elif token == "[":
            inner, at = _group(tokens, at, names)
            out.append(f"[{inner}]")
        elif token == "|" and tokens[at - 1 : at] == [" "] and tokens[at + 1 : at + 2] == [" "]:
            out.append(r"\mid")  # given
            at += 1
        elif token == "sqrt" and tokens[at + 1 : at + 2] == ["("]:
            inner, at = _group(tokens, at + 1, names)
            out.append(rf"\sqrt{{{inner}}}")
        elif token.endswith("_") and tokens[at + 1 : at + 2] == ["{"]:
            inner, at = _group(tokens, at + 1, names)
            out.append(f"{_name(token[:-1], names)}_{{{inner}}}")
        elif token == "N" and tokens[at + 1 : at + 2] == ["("]:
            out.append(r"\mathcal{N}")
            at += 1
        elif token == "*" and at and (tokens[at - 1][0].isalpha()):
            out.append("^{*}")  # the best: theta*
            at += 1
        elif token[0].isalpha():
            out.append(_name(token, names))
            at += 1
        elif token[0].isdigit() and "e" not in token:
            out.append(token)
            at += 1
        elif token in SIGNS:
            out.append(SIGNS[token])
            at += 1
        else:
            raise Unknown(token)
    if closing and at == len(tokens):
        raise Unknown(closing)
    return _joined(out), at


def _operand(token):
    token = "".join(token)
    return bool(token) and (token[0].isalnum() or token in OPEN + CLOSE)


def _joined(parts):
    """Words after a command keep their space."""
    return re.sub(r" {2,}", " ", "".join(f"{p} " if re.search(r"\\[A-Za-z]+$", p) else p for p in parts)).strip()


def _group(tokens, at, names):
    """TeX between the bracket at ``at`` and its partner, and the place after that."""
    inner, end = _sequence(tokens, at + 1, CLOSE[OPEN.index(tokens[at])], names)
    return inner, end + 1


def _raised(tokens, at, names):
    """What stands in an exponent: one symbol, with its sign, or a bracket, which the raised line replaces."""
    sign = ""
    if tokens[at : at + 1] == ["-"]:
        sign, at = "-", at + 1
    if at >= len(tokens):
        raise Unknown("^")
    token, after = tokens[at], tokens[at + 1 : at + 2]
    if token in ("(", "{"):
        inner, at = _group(tokens, at, names)
        return sign + inner, at
    if token == "T" and not sign:
        return r"\top", at + 1
    if token.isdigit() and not (after and after[0][0].isalpha()):
        return sign + token, at + 1
    if token[0].isalpha() and after != ["("]:  # e^f(x): where does it end?
        return sign + _name(token, names), at + 1
    raise Unknown(token)


def _fraction(tokens, at):
    """(1/n) or a free-standing 1/2 as a fraction."""
    if tokens[at] == "(":
        found = re.fullmatch(r"\((\d+)/(\d+|[A-Za-z])\)", "".join(tokens[at : at + 5]))
        applied = at and re.fullmatch(r"\w+'*", tokens[at - 1])  # f(1/n): an argument
        raised = tokens[at + 5 : at + 6] == ["^"]  # (1/n)^2 is raised as a whole
        return None if applied or raised or not found else rf"\frac{{{found[1]}}}{{{found[2]}}}"
    found = re.fullmatch(r"(\d+)/(\d+)", "".join(tokens[at : at + 3]))
    before, after = tokens[at - 1] if at else " ", tokens[at + 3] if at + 3 < len(tokens) else " "
    alone = (before.isspace() or before in "([-") and (after.isspace() or after in ")]")
    over = at > 1 and tokens[at - 2] in "/^"
    return rf"\tfrac{{{found[1]}}}{{{found[2]}}}" if found and alone and not over else None


def _name(token, names):
    """A name with its index: x_i, sigma_k, sum_ij, E_q, mean_i, m_hat, f'."""
    bare = token.rstrip("'")
    primes = token[len(bare) :]
    if bare in names and bare.isalnum() and bare not in GREEK and not LETTER_AND_DIGIT.fullmatch(bare):
        return rf"\mathrm{{{bare}}}{primes}"
    base, line, index = bare.partition("_")
    if line and not index and base in ("E", "sum", "prod"):
        return _base(base, names)  # an index in braces follows
    if line and (not index or "_" in index or base in FUNCTIONS):  # log_w: an index, or a word of the code?
        raise Unknown(token)
    tex = _base(base, names)
    if index == "hat":
        return rf"\hat{{{tex}}}{primes}"
    if line and LETTER_AND_DIGIT.fullmatch(base):
        return f"{base[0]}_{{{base[1]}{_index(index)}}}{primes}"
    return f"{tex}_{{{_index(index)}}}{primes}" if line else tex + primes


def _base(base, names):
    if base in GREEK or base in OPERATORS:
        return GREEK.get(base) or OPERATORS[base]
    if re.fullmatch(r"[A-Za-z]", base):
        return base
    if LETTER_AND_DIGIT.fullmatch(base):
        return f"{base[0]}_{{{base[1]}}}"
    if found := re.fullmatch(r"d([a-zF]|theta|eps|mu|sigma)", base):
        return "d" + _base(found[1], names)
    if base in names:
        return rf"\mathrm{{{base}}}"
    raise Unknown(base)


def _index(index):
    if index in GREEK:
        return GREEK[index]
    return index if len(index) <= 2 else rf"\mathrm{{{index}}}"
