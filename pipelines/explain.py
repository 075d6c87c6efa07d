"""Configuration schemas in words: what is wrong with a file, and what every field means."""

from typing import Any

from pydantic import BaseModel, ValidationError

LONGEST = 120


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first problem of ``error`` as one line, with a count of the others; a mistyped field before its absence."""
    first, *others = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    field = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            allowed = ", ".join(section_at(schema, first["loc"][:-1]).model_fields)
            line = f"{field}: unknown field; allowed are {allowed}"
        case "missing":
            line = f"{field}: this field is required and absent"
        case "value_error":
            message = str(first["ctx"]["error"])
            line = f"{field}: {message}" if field and not message.startswith(field) else message
        case _:
            _, should, rule = first["msg"].replace(" or instance of", ", as of").partition(" should ")
            line = f"{field}: {shown(first['input'])} is not allowed; {f'it should {rule}' if should else first['msg']}"
    return line + (f" (and {len(others)} more)" if others else "")


def shown(value: object) -> str:
    """A value as a message quotes it: long ones in part."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def section_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The section of ``schema`` that a validation error's location points into."""
    section = schema
    for part in location:
        if part in section.model_fields:
            section = next(iter(sections_in(section.model_fields[str(part)].annotation)), section)
    return section


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Every section named in a field's annotation, e.g. of ``dict[str, ProductSection] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in getattr(annotation, "__args__", ()) for section in sections_in(inner)]


def describe(schema: type[BaseModel]) -> str:
    """Every field of a configuration as a Markdown table: its path, whether it is required, its meaning."""
    rows = ["| field | default | meaning |", "|---|---|---|", *_rows(schema, "")]
    return "\n".join(rows)


def _rows(schema: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in schema.model_fields.items():
        inner = sections_in(field.annotation)
        default = "required" if field.is_required() else "" if inner else f"`{field.default}`"
        rows.append(f"| `{prefix}{name}` | {default} | {field.description} |")
        for section in inner:
            repeated = getattr(field.annotation, "__origin__", None)
            suffix = {dict: ".<name>", list: "[]"}.get(repeated, "")  # type: ignore[arg-type]
            rows += _rows(section, f"{prefix}{name}{suffix}.")
    return rows
