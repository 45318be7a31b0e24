# Arguments checked and converted as pydantic's lax mode does, with its texts.
import collections.abc
import datetime
import decimal
import re
import uuid

INTEGER = re.compile(r"[+-]?\d+(_\d+)*(\.0+)?\Z", re.ASCII)
WORDS = {"true": True, "yes": True, "on": True, "t": True, "y": True, "1": True,
         "false": False, "no": False, "off": False, "f": False, "n": False, "0": False}
BOUNDS = {
    "multiple_of": (lambda value, bound: value % bound == 0, "Input should be a multiple of {}"),
    "le": (lambda value, bound: value <= bound, "Input should be less than or equal to {}"),
    "lt": (lambda value, bound: value < bound, "Input should be less than {}"),
    "ge": (lambda value, bound: value >= bound, "Input should be greater than or equal to {}"),
    "gt": (lambda value, bound: value > bound, "Input should be greater than {}"),
    "min_length": (lambda value, bound: len(value) >= bound, "at least"),
    "max_length": (lambda value, bound: len(value) <= bound, "at most"),
    "pattern": (lambda value, bound: re.search(bound, value), "String should match pattern '{}'"),
}


def out_of_bounds(key, value, bound):
    text = BOUNDS[key][1]
    if not key.endswith("length"):
        return text.format(bound)
    many = "" if bound == 1 else "s"
    if isinstance(value, str):
        return f"String should have {text} {bound} character{many}"
    kind = {dict: "Dictionary"}.get(type(value), type(value).__name__.capitalize())
    return f"{kind} should have {text} {bound} item{many} after validation, not {len(value)}"


class Refused(Exception):
    """The value does not fit."""


def check_fields(fields, values, where, problems):
    """The arguments as the function gets them; problems are added in the order of the fields."""
    checked = {}
    for name, field in fields.items():
        if field.injected is not None or field.starred:
            continue
        at = f"{where}.{name}" if where else name
        if name not in values:
            if field.required:
                problems.append((at, "Field required"))
            elif not field.absent:
                checked[name] = field.fallback()
            continue
        checked[name] = check_field(field, values[name], at, problems)
    return checked


def check_field(field, value, at, problems):
    before = len(problems)
    value = check(field.kind, value, at, problems)
    for key, (holds, _) in BOUNDS.items():
        if len(problems) == before and key in field.info.rest and value is not None \
                and not holds(value, field.info.rest[key]):
            problems.append((at, out_of_bounds(key, value, field.info.rest[key])))
    return value


def check(kind, value, where, problems):
    try:
        return converted(kind, value, where, problems)
    except Refused as refused:
        problems.append((where, str(refused)))
        return None


def converted(kind, value, where, problems):
    if getattr(kind, "__metadata__", None) is not None:
        return check_field(Argument(kind), value, where, problems)
    if kind in PLAIN:
        return PLAIN[kind](value)
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return one_of_kinds(parts, value, where, problems)
    if origin is typing.Literal:
        return literal(parts, value)
    if not isinstance(origin, type):
        return value
    if issubclass(origin, enum.Enum):
        value = text_as_integer(value) if issubclass(origin, int) else value
        return origin(literal([member.value for member in origin], value))
    if is_foreign(origin):
        return self_checked(origin, value, where, problems)
    if is_named(origin):
        return structure(origin, value, where, problems)
    if origin in SPECIAL:
        return special(*SPECIAL[origin], origin, value)
    if issubclass(origin, dict) or origin in MAPPINGS:
        return mapping(parts, value, where, problems)
    if origin in SEQUENCES and isinstance(value, str):
        raise Refused(f"'str' instances are not allowed as a {origin.__name__} value")
    if origin in SEQUENCES and not isinstance(value, (list, tuple)):
        raise Refused(f"Input should be an instance of {origin.__name__}")
    if issubclass(origin, (list, tuple, set, frozenset)) or origin in SEQUENCES:
        return sequence(list if origin in SEQUENCES else origin, parts, value, where, problems)
    return value


MAPPINGS = (collections.abc.Mapping, collections.abc.MutableMapping)
SEQUENCES = (collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection)
SPECIAL = {
    datetime.datetime: ("datetime", lambda value: datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))),
    datetime.date: ("date", datetime.date.fromisoformat),
    datetime.time: ("time", datetime.time.fromisoformat),
    datetime.timedelta: ("timedelta", lambda value: datetime.timedelta(seconds=float(value))),
    uuid.UUID: ("UUID", uuid.UUID),
    decimal.Decimal: ("decimal", lambda value: decimal.Decimal(str(value))),
}


def text_as_integer(value):
    try:
        return integer(value) if isinstance(value, str) else value
    except Refused:
        return value


def special(name, convert, kind, value):
    if isinstance(value, kind):
        return value
    try:
        return convert(value)
    except Exception:
        raise Refused(f"Input should be a valid {name}") from None


def one_of_kinds(parts, value, where, problems):
    if value is None and type(None) in parts:
        return None
    parts = [part for part in parts if part is not type(None)]
    for part in parts:
        if isinstance(part, type) and type(value) is part:
            return value
    if len(parts) == 1:
        return converted(parts[0], value, where, problems)
    tried = []
    for part in parts:
        mine = []
        found = check(part, value, f"{where}.{label(part)}", mine)
        if not mine:
            return found
        tried += mine
    problems += tried
    return None


def label(kind):
    """How a place names one of several kinds."""
    name, parts = getattr(kind, "__name__", str(kind)), typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return f"literal[{','.join(map(repr, parts))}]"
    if kind in (list, set, frozenset, dict):
        parts = (typing.Any,) * (2 if kind is dict else 1)
    if kind is typing.Any:
        return "any"
    return f"{name}[{','.join(map(label, parts))}]" if parts else name


def octets(value):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise Refused("Input should be a valid bytes")


def text(value):
    if isinstance(value, str):
        return value
    raise Refused("Input should be a valid string")


def integer(value):
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise Refused("Input should be a finite number")
        if value != int(value):
            raise Refused("Input should be a valid integer, got a number with a fractional part")
        if abs(value) >= 2**63:
            raise Refused("Unable to parse input string as an integer, exceeded maximum size")
        return int(value)
    if isinstance(value, str):
        trimmed = value.strip()
        if not INTEGER.match(trimmed):
            raise Refused("Input should be a valid integer, unable to parse string as an integer")
        if len(trimmed) > 4300:
            raise Refused("Unable to parse input string as an integer, exceeded maximum size")
        return int(trimmed.partition(".")[0])
    raise Refused("Input should be a valid integer")


def number(value):
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise Refused("Input should be a valid number, unable to parse string as a number") from None
    raise Refused("Input should be a valid number")


def boolean(value):
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        if value in (0, 1):
            return bool(value)
        fraction = value != value or value != int(value) if abs(value) < 2**63 else True
        raise Refused("Input should be a valid boolean" + ("" if fraction else ", unable to interpret input"))
    if isinstance(value, str):
        if value.lower() in WORDS:
            return WORDS[value.lower()]
        raise Refused("Input should be a valid boolean, unable to interpret input")
    raise Refused("Input should be a valid boolean")


def nothing(value):
    if value is None:
        return None
    raise Refused("Input should be None")


PLAIN = {bytes: octets, str: text, int: integer, float: number, bool: boolean, type(None): nothing, None: nothing}


def literal(allowed, value):
    for one in allowed:
        if one == value and type(one) is type(value):
            return one
    for one in allowed:
        if one == value:
            return one
    words = [repr(one) for one in allowed]
    last = words.pop()
    raise Refused("Input should be " + (f"{', '.join(words)} or {last}" if words else last))


def structure(kind, value, where, problems):
    if not typing.is_typeddict(kind) and isinstance(value, kind):
        return value
    if not isinstance(value, dict):
        named = "" if typing.is_typeddict(kind) else (
            " or instance of " if issubclass(kind, BaseModel) else " or an instance of ") + kind.__name__
        raise Refused("Input should be a " + ("valid " if issubclass(kind, BaseModel) or not named else "") +
                      "dictionary" + named)
    if issubclass(kind, BaseModel):
        checked = checked_model(kind, value, where, problems)
        made = kind.__new__(kind)
        made.__dict__.update(checked)
        return made
    before = len(problems)
    checked = check_fields(fields_of_structure(kind), value, where, problems)
    return kind(**checked) if len(problems) == before else None


def checked_model(model, values, where, problems):
    """Fields of a model, its own validators applied."""
    fields, found = fields_of_model(model), dict(values)
    marked = {name: getattr(mark, "__func__", mark) for name, mark in vars(model).items()}
    validators = [(getattr(model, name), *mark.checks) for name, mark in marked.items() if hasattr(mark, "checks")]

    def run(mode, name, value):
        for method, names, when in validators:
            if when == mode and (name in names or "*" in names):
                value = method(value)
        return value

    def attempt(mode, name):
        at = f"{where}.{name}" if where else name
        try:
            found[name] = run(mode, name, found[name])
        except ValueError as error:
            problems.append((at, f"Value error, {error}"))
        except AssertionError as error:
            problems.append((at, f"Assertion failed, {error}"))

    for name in fields:
        if name in found:
            attempt("before", name)
    given, before = set(found), {where for where, _ in problems}
    found = check_fields(fields, found, where, problems)
    failed = {at for at, _ in problems} - before
    for name in fields:
        if name in given and (f"{where}.{name}" if where else name) not in failed:
            attempt("after", name)
    if model.model_config.get("extra") == "forbid":
        extra = [f"{where}.{name}" if where else name for name in values if name not in fields]
        problems += [(at, "Extra inputs are not permitted") for at in extra]
    return found


def self_checked(model, value, where, problems):
    try:
        return model.model_validate(value)
    except ValueError as error:
        problems += problems_of(error, where)
        return None


def problems_of(error, where=""):
    """What pydantic complains about, in our form."""
    found = []
    for one in error.errors():
        place = ".".join(([where] if where else []) + [str(part) for part in one["loc"]])
        found.append((place, one["msg"]))
    return found


def mapping(parts, value, where, problems):
    if not isinstance(value, dict):
        raise Refused("Input should be a valid dictionary")
    if len(parts) != 2:
        return value
    found = {}
    for key, item in value.items():
        named = check(parts[0], key, f"{where}.{key}.[key]", problems)
        found[named] = check(parts[1], item, f"{where}.{key}", problems)
    return found


def sequence(origin, parts, value, where, problems):
    if not isinstance(value, (list, tuple)):
        name = {tuple: "tuple", set: "set", frozenset: "frozenset"}.get(origin, "list")
        raise Refused(f"Input should be a valid {name}")
    if issubclass(origin, tuple) and parts and parts[-1] is not ...:
        if len(value) > len(parts):
            raise Refused(f"Tuple should have at most {len(parts)} item{'' if len(parts) == 1 else 's'} after "
                          f"validation, not {len(value)}")
        kinds = parts
    else:
        kinds = [parts[0] if parts else typing.Any] * len(value)
    found = [check(kind, item, f"{where}.{at}", problems) for at, (kind, item) in enumerate(zip(kinds, value))]
    missing = range(len(value), len(parts)) if kinds is parts else ()
    problems += [(f"{where}.{at}", "Field required") for at in missing]
    if not issubclass(origin, (set, frozenset)):
        return found if origin is list else origin(found)
    loose = [at for at, item in enumerate(found) if not isinstance(item, collections.abc.Hashable)]
    problems += [(f"{where}.{at}", "Set items should be hashable") for at in loose]
    return origin(item for at, item in enumerate(found) if at not in loose)
