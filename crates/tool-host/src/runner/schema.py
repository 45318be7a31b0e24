# The JSON schema of a tool's arguments as pydantic derives it, without titles.
import dataclasses


def hints_of(function):
    """Annotations with names resolved; those that cannot be resolved are left as they are written."""
    function = getattr(function, "__func__", function)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:
        return dict(getattr(function, "__annotations__", {}))


def injected_as(annotation):
    """The marker of an injected argument, or None."""
    known = kinds(InjectedToolArg, "langchain_core.tools") + kinds(ToolRuntime, "langgraph.prebuilt")
    kind = typing.get_origin(annotation) or annotation
    for mark in getattr(annotation, "__metadata__", (kind,)):
        if isinstance(mark, known) or isinstance(mark, type) and issubclass(mark, known):
            return mark
    return None


def is_config(annotation):
    return getattr(annotation, "__name__", "") == "RunnableConfig"


def is_hidden(name, annotation):
    """Arguments that LangChain fills by itself."""
    return name in ("run_manager", "callbacks") or is_config(annotation) or getattr(
        annotation, "__name__", "") == "CallbackManagerForToolRun"


def is_foreign(kind):
    """A model of the real pydantic, which describes and checks itself."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema")


def as_ours(info):
    """A field's settings, the real pydantic's included."""
    if isinstance(info, FieldInfo):
        return info
    rest = {name: getattr(mark, name) for mark in info.metadata for name in FieldInfo.LIMITS if hasattr(mark, name)}
    default = MISSING if info.is_required() or info.default_factory else info.default
    return FieldInfo(default, info.default_factory, info.description, **rest)


def is_info(value):
    return isinstance(value, FieldInfo) or type(value).__name__ == "FieldInfo" and hasattr(value, "is_required")


class Argument:
    # Whether it may be left out without getting a value.
    absent = False
    # Whether it is `*args` or `**kwargs`: told, but not taken.
    starred = False

    def __init__(self, kind, default=MISSING, description=None):
        inner = typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
        self.kind, self.injected, self.info = inner, injected_as(kind), FieldInfo()
        words = None
        for mark in getattr(kind, "__metadata__", ()):
            if is_info(mark):
                self.info = as_ours(mark)
            elif isinstance(mark, str) and words is None:
                words = mark
        if is_info(default):
            self.info = as_ours(default)
            default = self.info.default
        self.default = default if default is not MISSING else self.info.default
        self.description = self.info.description or words or description

    @property
    def required(self):
        return not self.absent and self.default is MISSING and self.info.default_factory is None

    def fallback(self):
        if self.info.default_factory is not None:
            return self.info.default_factory()
        return self.default

    def schema(self, title=None):
        found, more = dict(schema_of(self.kind, title is not None)), {}
        for key, (name, of_list) in FieldInfo.LIMITS.items():
            if key in self.info.rest:
                more[of_list if found.get("type") == "array" else name] = self.info.rest[key]
        if self.default is not MISSING and self.info.default_factory is None:
            more["default"] = told_default(self.default)
        if self.description:
            more["description"] = self.description
        # What has a name of its own is described by reference, and the reference replaced by what it names.
        if title is not None and not is_named(without_none(self.kind)):
            more["title"] = title
        return found | dict(sorted(more.items())) if is_named(self.kind) else dict(sorted((found | more).items()))


def without_none(kind):
    """What an optional kind is besides None; any other kind as it is."""
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    return parts[0] if len(parts) == 1 and typing.get_origin(kind) in (typing.Union, types.UnionType) else kind


def told_default(value):
    """A default as it is written down; what JSON does not know is told by its text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.loads(json.dumps(plain(value), default=text_of_default))


def text_of_default(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, enum.Enum):
        return value.value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def is_named(kind):
    return isinstance(kind, type) and (issubclass(kind, (BaseModel, enum.Enum)) or is_foreign(kind)
                                       or typing.is_typeddict(kind) or dataclasses.is_dataclass(kind))


def fields_of_function(function, described=None):
    hints, found = hints_of(function), {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            found[name] = Argument(list if parameter.kind == parameter.VAR_POSITIONAL else dict, None)
            found[name].starred = True
            continue
        annotation = hints.get(name, parameter.annotation)
        if is_hidden(name, annotation):
            continue
        kind = typing.Any if annotation is inspect.Parameter.empty else annotation
        default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        found[name] = Argument(kind, default, (described or {}).get(name))
    return found


def fields_of_model(model):
    found = {}
    if is_foreign(model):
        for name, info in model.model_fields.items():
            default = MISSING if info.is_required() else info.get_default(call_default_factory=True)
            found[name] = Argument(typing.Any, default)
        return found
    for name, kind in typing.get_type_hints(model, include_extras=True).items():
        if not name.startswith("_") and name != "model_config" and typing.get_origin(kind) is not typing.ClassVar:
            found[name] = Argument(kind, getattr(model, name, MISSING))
    return found


def fields_of_structure(kind):
    """Of a model, a typed dict or a dataclass."""
    if typing.is_typeddict(kind):
        found = {name: Argument(part) for name, part in typing.get_type_hints(kind).items()}
        for name, field in found.items():
            field.absent = name not in kind.__required_keys__
        return found
    if not dataclasses.is_dataclass(kind):
        return fields_of_model(kind)
    hints, found = typing.get_type_hints(kind, include_extras=True), {}
    for field in dataclasses.fields(kind):
        default = MISSING if field.default is dataclasses.MISSING else field.default
        factory = None if field.default_factory is dataclasses.MISSING else field.default_factory
        found[field.name] = Argument(hints[field.name], FieldInfo(default, factory))
    return found


def fields_of_tool(found):
    """Arguments by name, injected ones included."""
    function = found._function()
    described = parsed_docstring(function)[1] if found.parse_docstring else {}
    own = fields_of_function(function, described)
    if isinstance(found.args_schema, type):
        injected = {name: field for name, field in own.items() if field.injected}
        return fields_of_model(found.args_schema) | injected
    return own


def parsed_docstring(function):
    """Google style: what the function does, and what its arguments are. Read as LangChain reads it."""
    words, args, past = [], "", False
    for block in (inspect.getdoc(function) or "").split("\n\n"):
        if block.startswith("Args:"):
            args = block
            break
        past = past or block.startswith(("Returns:", "Example:"))
        if not past:
            words.append(block)
    found, name, margin = {}, None, None
    for line in filter(str.strip, args.split("\n")[1:]):
        indent = len(line) - len(line.lstrip())
        if margin is None and ":" in line:
            margin = indent
        if name and margin is not None and indent > margin:
            found[name] += " " + line.strip()
        elif ":" in line:
            before, after = line.split(":", maxsplit=1)
            bare, _, kind = before.strip().partition(" ")
            name = bare if kind.startswith("(") and kind.endswith(")") else before.strip()
            found[name] = after.strip()
        elif name:
            found[name] += " " + line.strip()
    return " ".join(words), found


def parameters_of(found):
    """`parameters` of the tool as it is offered to a model."""
    if isinstance(found.args_schema, dict):
        return found.args_schema
    if is_foreign(found.args_schema):
        # LangChain keeps of a model only its fields, and of a field only these.
        told = without_titles(found.args_schema.model_json_schema())
        fields = {name: {key: part for key, part in field.items() if key not in ("examples", "deprecated")}
                  for name, field in told["properties"].items()}
        return {"properties": fields} | {key: told[key] for key in ("required", "type") if key in told}
    return object_schema({name: field for name, field in fields_of_tool(found).items() if field.injected is None})


def without_titles(schema, titled=False):
    """As LangChain sends it: references replaced by what they name, and no titles but those that stand in a list."""
    defined = schema.get("$defs", {})

    def walked(part, named, titled):
        if isinstance(part, list):
            return [walked(item, False, True) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            rest = {key: item for key, item in part.items() if key != "$ref"}
            return walked(defined.get(part["$ref"].rpartition("/")[2], {}) | rest, False, titled)
        dropped = {"$defs"} | ({"title"} if not (named or titled) and isinstance(part.get("title"), str) else set())
        kept = {key: item for key, item in part.items() if key not in dropped}
        return {key: walked(item, key == "properties" and not named, titled) for key, item in kept.items()}

    return walked(schema, False, titled)


def title_of(name):
    return name.title().replace("_", " ").strip()


def object_schema(fields, title=None):
    schema = {"properties": {name: field.schema(None if title is None else title_of(name))
                             for name, field in fields.items()}}
    required = [name for name, field in fields.items() if field.required]
    if required:
        schema["required"] = required
    if title is not None:
        schema["title"] = title
    schema["type"] = "object"
    return schema


SIMPLE = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
    type(None): {"type": "null"}, None: {"type": "null"}, bytes: {"format": "binary", "type": "string"},
}
NAMED = {"datetime": "date-time", "date": "date", "time": "time", "timedelta": "duration", "UUID": "uuid"}


def schema_of(kind, titled=False):
    if getattr(kind, "__metadata__", None) is not None:
        return Argument(kind).schema()
    try:
        if kind in SIMPLE:
            return SIMPLE[kind]
    except TypeError:
        return {}
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(part, True) for part in parts]}
    if origin is typing.Literal:
        return literal_schema(list(parts))
    if isinstance(origin, type):
        return class_schema(origin, parts, titled)
    return {}


def literal_schema(values):
    found = {"const": values[0]} if len(values) == 1 else {"enum": values}
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        found |= SIMPLE.get(kinds.pop(), {})
    return found


def class_schema(origin, parts, titled):
    title = origin.__name__ if titled else None
    if is_foreign(origin):
        return without_titles(origin.model_json_schema(), titled)
    if issubclass(origin, BaseModel):
        found = object_schema(fields_of_model(origin), title)
        if origin.model_config.get("extra") == "forbid":
            found = {"additionalProperties": False} | found
        return {"description": inspect.cleandoc(origin.__doc__)} | found if origin.__doc__ else found
    if issubclass(origin, enum.Enum):
        found = literal_schema([member.value for member in origin])
        return dict(sorted((found | {"title": title}).items())) if titled else found
    if typing.is_typeddict(origin) or dataclasses.is_dataclass(origin):
        return object_schema(fields_of_structure(origin), title)
    if origin.__name__ == "Decimal":
        return {"anyOf": [{"type": "number"}, {"type": "string"}]}
    if issubclass(origin, tuple) and parts and parts[-1] is not ...:
        items = [schema_of(part, True) for part in parts]
        return {"maxItems": len(items), "minItems": len(items), "prefixItems": items, "type": "array"}
    if issubclass(origin, dict) or origin.__name__ in ("Mapping", "MutableMapping"):
        values = schema_of(parts[1], titled) if len(parts) == 2 else {}
        return {"additionalProperties": values or True, "type": "object"}
    if issubclass(origin, (list, tuple, set, frozenset)) or origin.__name__ in ("Sequence", "Iterable"):
        found = {"items": schema_of(parts[0], titled) if parts else {}, "type": "array"}
        return found | {"uniqueItems": True} if issubclass(origin, (set, frozenset)) else found
    return {"format": NAMED[origin.__name__], "type": "string"} if origin.__name__ in NAMED else {}
