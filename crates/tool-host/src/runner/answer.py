# From what a tool returned to what the machine is told.

BLOCKS = {"text", "image_url", "image", "json", "search_result", "custom_tool_call_output", "document", "file"}


class Failure(Exception):
    """An error text for the model."""


def plain(value):
    """The value as JSON knows it, where it is one of ours."""
    if hasattr(value, "model_dump") and not isinstance(value, (type, BaseModel)):
        return value.model_dump()
    if isinstance(value, (BaseModel, BaseMessage)):
        return {key: plain(item) for key, item in vars(value).items()} | (
            {"type": value.type} if isinstance(value, BaseMessage) else {})
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def content_of(value):
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, dict) and item.get("type") in BLOCKS for item in value):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except Exception:
        return str(value)


def is_message(value):
    return isinstance(value, kinds(ToolMessage, "langchain_core.messages"))


def is_command(value):
    return isinstance(value, kinds(Command, "langgraph.types"))


def answer_of(found, value, call_id):
    if found.response_format == "content_and_artifact" and not is_message(value) and not is_command(value):
        if not (isinstance(value, tuple) and len(value) == 2):
            raise Failure("ValueError: a tool with response_format 'content_and_artifact' must return a pair")
        value = value[0]
    if is_message(value):
        return from_message(value)
    parts = value if isinstance(value, list) else [value]
    if any(is_command(part) or is_message(part) for part in parts):
        return from_commands(found, parts, call_id)
    return {"content": content_of(value), "status": "success", "files": {}, "values": {}}


def from_message(message):
    status = "error" if message.status == "error" else "success"
    return {"content": content_of(message.content), "status": status, "files": {}, "values": {}}


def from_commands(found, parts, call_id):
    answers, files, values, others = [], {}, {}, []
    for part in parts:
        if is_message(part):
            answers.append(part)
            continue
        if not is_command(part):
            raise Failure(f"ValueError: a list of commands must not hold a {type(part).__name__}")
        update = dict(part.update or {})
        messages = update.pop("messages", None) or []
        for message in messages if isinstance(messages, list) else [messages]:
            if isinstance(message, dict) and message.get("type", message.get("role")) == "tool":
                known = {key: item for key, item in message.items() if key not in ("type", "role")}
                message = ToolMessage(**known)
            mine = is_message(message) and message.tool_call_id == call_id
            (answers if mine else others).append(message)
        files |= {str(path): file_of(path, record) for path, record in (update.pop("files", None) or {}).items()}
        values |= {str(key): plain(item) for key, item in update.items()}
    if len(answers) != 1:
        raise Failure(
            f"ValueError: Expected to have a matching ToolMessage in Command.update for tool '{found.name}', got: "
            f"{(answers or others)!r}. Every tool call (LLM requesting to call a tool) in the message history MUST "
            "have a corresponding ToolMessage.")
    return from_message(answers[0]) | {"files": files, "values": values}


def file_of(path, record):
    """A file as it is stored; a plain string counts as its content, None deletes."""
    if record is None:
        return None
    if isinstance(record, str):
        record = {"content": record}
    lines = record.get("content") if isinstance(record, dict) else None
    if not (isinstance(lines, str) or isinstance(lines, list) and all(isinstance(line, str) for line in lines)):
        raise Failure(f"ValueError: files[{path!r}]: expected an object with `content`, a string or list of strings")
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    times = {"created_at": record.get("created_at") or now, "modified_at": record.get("modified_at") or now}
    encoding = {} if isinstance(lines, list) else {"encoding": record.get("encoding") or "utf-8"}
    return dict(record) | encoding | times
