# What a call is given besides the model's arguments, and tools that LangChain itself has made, where the interpreter
# has it: LangChain describes and calls those.
import dataclasses

MESSAGES = {"human": "HumanMessage", "ai": "AIMessage", "system": "SystemMessage", "tool": "ToolMessage"}


def is_kind(mark, ours, module):
    known = kinds(ours, module)
    return isinstance(mark, known) or isinstance(mark, type) and issubclass(mark, known)


def needs_of(marks):
    """Fields of the state that the tool is given; `*` is all of it."""
    needs = set()
    for mark in marks:
        if is_kind(mark, InjectedState, "langgraph.prebuilt"):
            needs.add(getattr(mark, "field", None) or "*")
        elif is_kind(mark, ToolRuntime, "langgraph.prebuilt"):
            needs.add("*")
    return sorted(needs)


def injection(mark, request):
    """Whether there is something for such an argument, and what."""
    if is_kind(mark, InjectedToolCallId, "langchain_core.tools"):
        return True, request["call_id"]
    if is_kind(mark, InjectedState, "langgraph.prebuilt"):
        state, wanted = state_of(request), getattr(mark, "field", None)
        return True, state if wanted is None else state.get(wanted, {} if wanted == "files" else None)
    if is_kind(mark, ToolRuntime, "langgraph.prebuilt"):
        return True, runtime_of(mark, request)
    return is_kind(mark, InjectedStore, "langgraph.prebuilt"), None


def state_of(request):
    state = dict(request["state"])
    state["messages"] = [message_of(message) for message in state.get("messages") or []]
    return state


def message_of(record):
    name = MESSAGES.get(record["type"])
    if name is None:
        return record
    module = importlib.import_module("langchain_core.messages")
    return getattr(module, name)(**{key: value for key, value in record.items() if key != "type"})


def config_of(request):
    return {"configurable": {"idempotency_key": request["idempotency_key"]}, "metadata": {}, "tags": []}


def runtime_of(mark, request):
    members = {"state": state_of(request), "context": None, "config": config_of(request), "store": None, "tools": [],
               "stream_writer": lambda _: None, "tool_call_id": request["call_id"]}
    kind = mark if isinstance(mark, type) else type(mark)
    if not dataclasses.is_dataclass(kind):
        return kind(**members)
    return kind(**{field.name: members.get(field.name) for field in dataclasses.fields(kind)})


def is_langchains(found):
    return not isinstance(found, BaseTool)


def function_of(found):
    return getattr(found, "func", None) or getattr(found, "coroutine", None) or found._run


def marks_of(found):
    """Injected arguments by name, as LangGraph looks for them: in the function and in the schema."""
    from langchain_core.tools.base import get_all_basemodel_annotations

    annotations = hints_of(function_of(found)) | get_all_basemodel_annotations(found.get_input_schema())
    marks = {name: injected_as(annotation) for name, annotation in annotations.items()}
    return {name: mark for name, mark in marks.items() if mark is not None}


def described_by_langchain(found):
    from langchain_core.utils.function_calling import convert_to_openai_tool

    told = convert_to_openai_tool(found)["function"]
    return {"description": told.get("description", ""),
            "parameters": told.get("parameters") or {"properties": {}, "type": "object"},
            "needs": needs_of(marks_of(found).values()), "return_direct": bool(found.return_direct)}


def called_by_langchain(found, request):
    args = dict(request["args"])
    for name, mark in marks_of(found).items():
        args.pop(name, None)
        given, value = injection(mark, request)
        if given:
            args[name] = value
    call = {"type": "tool_call", "name": found.name, "args": args, "id": request["call_id"]}
    try:
        if getattr(found, "coroutine", None) and not getattr(found, "func", None):
            import asyncio

            return asyncio.run(found.ainvoke(call, config_of(request)))
        return found.invoke(call, config_of(request))
    except ValueError as error:
        if type(error).__name__ == "ValidationError" and hasattr(error, "errors"):
            raise Invalid(problems_of(error)) from None
        raise
