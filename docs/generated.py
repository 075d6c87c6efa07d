"""Pages that are made when the site is built: the first from README.md, the commands from the command itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import MARKUP_MODE_KEY, get_docs_for_click

from stook.pipelines.cli import app

TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the top folder, as GitHub shows them -> their pages."""

COMMANDS = """# Commands

`stook COMMAND --help` prints the same. Exit status: 0 done, 1 internal error, 2 wrong configuration or input,
3 finished with failed tiles, 4 an archive or the output could not be reached, 130 stopped.

"""
NOISE = re.compile(r"^\* `--help`: .*\n|^\*\*Commands\*\*:\n\n(\* .*\n)+\n", re.MULTILINE)  # said elsewhere on the page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are in no file of the folder."""
    for name, page in TOP.items():
        text = Path(config.config_file_path).with_name(name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "commands.md", content=COMMANDS + "\n".join(command_pages(app))))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Have links between the top folder and docs/ lead to pages."""
    markdown = markdown.replace("](docs/", "](")
    for name, page in TOP.items():
        markdown = re.sub(rf"\]\((\.\./)?{re.escape(name)}(?=[)#])", f"]({page}", markdown)
    return markdown


def command_pages(app: typer.Typer) -> Iterator[str]:
    """Markdown: a table of the commands, then each with its usage, arguments and options, by panel of the help."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="stook", obj={MARKUP_MODE_KEY: app.rich_markup_mode})
    commands = [group.get_command(context, name) for name in group.list_commands(context)]
    panels = {panel: [c for c in commands if panel_of(c) == panel] for panel in dict.fromkeys(map(panel_of, commands))}
    for panel, members in panels.items():
        yield f"## {panel}\n"
        yield "| command | what it does |\n|---|---|"
        yield from (f"| [`stook {c.name}`](#stook-{c.name}) | {c.get_short_help_str(limit=200)} |" for c in members)
        yield ""
        for command in members:
            page = get_docs_for_click(obj=command, ctx=context, indent=2, call_prefix="stook")
            yield NOISE.sub("", page)


def panel_of(command: object) -> str:
    """The panel of the help that a command is listed in."""
    return getattr(command, "rich_help_panel", None) or "All commands"
