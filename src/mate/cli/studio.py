"""`mate studio`."""

from typing import Annotated

import typer


def studio(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others can connect unless it is loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8421,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Generator to offer: default, kinwords, DIR or hub id; may be repeated.", show_default=False),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.", show_default=False)] = None,
) -> None:
    """See words move the body: a page in the browser for prompts, motions and what each word does.

    `mate studio` listens on this machine alone; Ctrl-C ends it.
    """
    from mate.studio.config import StudioConfig
    from mate.studio.guard import is_loopback
    from mate.studio.run import serve

    def announce(url: str) -> None:
        typer.echo(f"The studio is at {url} (Ctrl-C ends it)")
        if not is_loopback(host):
            typer.echo("It has no password: everybody who can reach this address can use it.", err=True)

    config = StudioConfig(
        host=host, port=port, models=tuple(model) if model else ("default", "kinwords"), threads=threads
    )
    try:
        serve(config, browser, announce)
    except KeyboardInterrupt:
        return
