# The loop: a request in, a reply out. A packet is the request's id, the message's length, an offset and its bytes.
import struct
import traceback

HEAD = struct.Struct(">16sII")
PIECE = 60_000
TOOLS = []


def receive(channel):
    parts, size, name = [], None, b""
    while size is None or sum(map(len, parts)) < size:
        packet = os.read(channel, HEAD.size + PIECE)
        if not packet:
            os._exit(0)
        name, size, _ = HEAD.unpack_from(packet)
        parts.append(packet[HEAD.size:])
    return name, json.loads(b"".join(parts))


def send(channel, name, reply):
    text = json.dumps(reply, ensure_ascii=False)
    # Half a surrogate pair is no text to anybody else.
    payload = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    for offset in range(0, len(payload), PIECE):
        os.write(channel, HEAD.pack(name, len(payload), offset) + payload[offset:offset + PIECE])


def named(script_name, namespace):
    """The tool of that name, whatever other tools the script holds."""
    found = [value for value in namespace.values() if isinstance(value, BaseTool)]
    for one in found:
        if one.name == script_name:
            return one
    if isinstance(namespace.get(script_name), BaseTool):
        return namespace[script_name]
    others = ", ".join(sorted({repr(one.name) for one in found})) or "none"
    raise Failure(f"the script defines no tool called `{script_name}`; its tools: {others}")


def needs_of(found):
    """Fields of the state that the tool is given; `*` is all of it."""
    marks = [field.injected for field in fields_of_tool(found).values()]
    return sorted({getattr(mark, "field", None) or "*" for mark in marks if is_state(mark)})


def is_state(mark):
    return isinstance(mark, InjectedState) or isinstance(mark, type) and issubclass(mark, InjectedState)


def is_call_id(mark):
    return isinstance(mark, InjectedToolCallId) or isinstance(mark, type) and issubclass(mark, InjectedToolCallId)


def load(scripts):
    described = []
    for index, script in enumerate(scripts):
        module = types.ModuleType(f"tool_script_{index}")
        sys.modules[module.__name__] = module
        try:
            code = compile(script["script"], f"<{script['name']}>", "exec", dont_inherit=True)
            exec(code, module.__dict__)
            found = named(script["name"], module.__dict__)
            TOOLS.append(found)
            described.append({"description": found.description, "parameters": parameters_of(found),
                              "needs": needs_of(found)})
        except Failure as failure:
            return {"failed": index, "reason": str(failure)}
        except BaseException as error:
            return {"failed": index, "reason": f"the script does not load: {told(error)}"}
    return {"tools": described}


def told(error):
    """The failure in one line: class, text and where in the script."""
    if isinstance(error, MemoryError):
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0] >> 20
        return f"MemoryError: more than {allowed} MiB of memory"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("<")
             and frame.filename not in ("<string>", "<frozen runpy>")]
    place = f" (line {lines[-1]} of the script)" if lines else ""
    text = str(error)
    return f"{type(error).__name__}{': ' + text if text else ''}{place}"


def inject(fields, args, request):
    state = dict(request["state"])
    state["messages"] = [Message(message) for message in state.get("messages") or []]
    for name, field in fields.items():
        if is_call_id(field.injected):
            args[name] = request["call_id"]
        elif is_state(field.injected):
            wanted = getattr(field.injected, "field", None)
            empty = {} if wanted == "files" else None
            args[name] = state if wanted is None else state.get(wanted, empty)
        elif field.injected is not None and not field.required:
            args[name] = field.fallback()
    return args


def call(request):
    found = TOOLS[request["tool"]]
    fields, problems = fields_of_tool(found), []
    args = check_fields(fields, request["args"], "", problems)
    if isinstance(found.args_schema, dict):
        args = dict(request["args"])
    if problems:
        listed = "\n".join(f"{where}: {what}" for where, what in problems)
        return failed(f"Error invoking tool '{found.name}' with kwargs {request['args']!r} with error:\n {listed}\n"
                      " Please fix the error and try again.")
    try:
        result = run_function(found._function(), inject(fields, args, request))
        answer = answer_of(found, result, request["call_id"])
        json.dumps([answer["files"], answer["values"]])
        return answer
    except ToolException as error:
        return failed(handled(found.handle_tool_error, error))
    except Failure as failure:
        return failed(f"Error: {failure}")
    except BaseException as error:
        return failed(f"Error: {told(error)}")


def handled(handler, error):
    if callable(handler):
        return str(handler(error))
    if handler is True:
        return str(error)
    return handler if isinstance(handler, str) else f"Error: {told(error)}"


def failed(text):
    return {"content": text, "status": "error", "files": {}, "values": {}}


def main(channel):
    me = os.getpid()
    os.closerange(3, channel)
    os.closerange(channel + 1, 4096)
    stand_in()
    while True:
        name, request = receive(channel)
        reply = load(request["load"]) if "load" in request else call(request)
        if os.getpid() != me:
            os._exit(1)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        send(channel, name, reply)


main(int(sys.argv[1]))
