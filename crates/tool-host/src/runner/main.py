# The loop: a request in, a reply out. A packet is the request's id, the message's length, an offset and its bytes.
import struct
import traceback

HEAD = struct.Struct(">16sII")
PIECE = 60_000
TOOLS = []


def receive(channel):
    message, size, name = bytearray(), None, b""
    while size is None or len(message) < size:
        packet = os.read(channel, HEAD.size + PIECE)
        if not packet:
            os._exit(0)
        name, size, _ = HEAD.unpack_from(packet)
        message += packet[HEAD.size:]
    return name, json.loads(message)


def send(channel, name, reply):
    text = json.dumps(reply, ensure_ascii=False)
    # Half a surrogate pair is no text to anybody else.
    payload = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    for offset in range(0, len(payload), PIECE):
        os.write(channel, HEAD.pack(name, len(payload), offset) + payload[offset:offset + PIECE])


def named(script_name, namespace):
    """The tool of that name, whatever other tools the script holds."""
    known = kinds(BaseTool, "langchain_core.tools")
    found = [value for value in namespace.values() if isinstance(value, known)]
    for one in found:
        if one.name == script_name:
            return one
    if isinstance(namespace.get(script_name), known):
        return namespace[script_name]
    others = ", ".join(sorted({repr(one.name) for one in found})) or "none"
    raise Failure(f"the script defines no tool called `{script_name}`; its tools: {others}")


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
            described.append(described_by_langchain(found) if is_langchains(found) else described_by_us(found))
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


def described_by_us(found):
    marks = [field.injected for field in fields_of_tool(found).values()]
    return {"description": found.description, "parameters": parameters_of(found), "needs": needs_of(marks),
            "return_direct": bool(found.return_direct)}


def injected_by_us(found, fields, args, request):
    for name, field in fields.items():
        if field.injected is not None:
            given, value = injection(field.injected, request)
            if given:
                args[name] = value
            elif not field.required:
                args[name] = field.fallback()
    for name, annotation in hints_of(found._function()).items():
        if is_config(annotation):
            args[name] = config_of(request)
    return args


def called_by_us(found, request):
    fields, problems = fields_of_tool(found), []
    if is_foreign(found.args_schema):
        own = {name: field for name, field in fields.items() if field.injected is None}
        checked = self_checked(found.args_schema, request["args"], "", problems)
        args = {name: getattr(checked, name, None) for name in own}
    elif isinstance(found.args_schema, type):
        args = checked_model(found.args_schema, request["args"], "", problems)
    else:
        args = check_fields(fields, request["args"], "", problems)
    if isinstance(found.args_schema, dict):
        args = dict(request["args"])
    if problems:
        raise Invalid(problems)
    return run_function(found._function(), injected_by_us(found, fields, args, request))


class Invalid(Exception):
    """Arguments that do not fit, with places and texts."""


def call(request):
    found = TOOLS[request["tool"]]
    os.environ["IDEMPOTENCY_KEY"] = request["idempotency_key"]
    try:
        called = called_by_langchain if is_langchains(found) else called_by_us
        answer = answer_of(found, called(found, request), request["call_id"])
        json.dumps([answer["files"], answer["values"]], allow_nan=False)
        return answer
    except Invalid as invalid:
        listed = "\n".join(f"{where}: {what}" for where, what in invalid.args[0])
        return failed(f"Error invoking tool '{found.name}' with kwargs {request['args']!r} with error:\n {listed}\n"
                      " Please fix the error and try again.")
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
    os.set_inheritable(channel, False)
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
