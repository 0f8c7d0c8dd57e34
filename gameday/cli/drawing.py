"""Tables, styles and live pictures, drawn with rich on what `terminal` prints on.

rich reads `[bold]` and `[link=…]` in any text as markup, unless it is told not to. Here a text is
never markup: what has a style is `styled`, everything else is shown as it stands, with escapes for
what a terminal would obey. Pictures that are drawn again and again fall silent with their stream.
"""

from collections.abc import Iterable
from typing import Any, Final, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from gameday.cli.terminal import Output, escaped, output

NARROW: Final = 60  # columns


def styled(text: str, style: str = "") -> Text:
    """A text in a style, to be printed or put into a table."""
    return Text(escaped(text), style=style)


def joined(*parts: Text | str) -> Text:
    """Texts with styles of their own, one behind the other."""
    return Text.assemble(*(part if isinstance(part, Text) else styled(part) for part in parts))


def table(*heads: str, header: bool = True, padding: tuple[int, int] | None = None) -> Table:
    """A table without lines; a cell is a text, or one that is `styled`."""
    made = _FoldingTable(*heads, box=None, pad_edge=False, show_header=header)
    if padding is not None:
        made.padding = padding
    return made


class _FoldingTable(Table):
    """A table whose cells are folded and never cut.

    rich cuts a line that is a cell too wide, and counts the blank at its end by letters: where
    letters are two cells wide, it cuts a word away. On a narrow terminal every column may wrap,
    so that none of them takes the room of all others.
    """

    def add_column(self, header: RenderableType = "", *args: Any, **options: Any) -> None:
        super().add_column(header, *args, **{"overflow": "fold", **options})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width < NARROW:
            for column in self.columns:
                column.no_wrap = False
        return super().__rich_console__(console, options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        while len(self.columns) < len(cells):  # rich makes those that are missing by itself
            self.add_column()
        super().add_row(*cells, **options)


class _Drawn:
    """The file that rich writes on: what it writes is escaped already, the styles are its own."""

    def __init__(self, to: Output) -> None:
        self._to = to
        self.encoding = to.encoding

    def write(self, text: str) -> int:
        self._to.write_shown(text)
        return len(text)

    def flush(self) -> None:
        self._to.flush()

    def isatty(self) -> bool:
        return self._to.isatty()


class SafeConsole(Console):
    """A console on stdout, or on stderr, to which no text is markup."""

    def __init__(self, *, err: bool = False, file: TextIO | None = None, **options: Any) -> None:
        to = output(err=err) if file is None else Output(file, "a file")
        drawn = cast("TextIO", _Drawn(to))
        super().__init__(file=drawn, markup=False, highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escaped(text), **{**options, "markup": False})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for each in super().render(renderable, options):
            yield each if each.control else each._replace(text=escaped(each.text))

    def live(self, picture: RenderableType | None = None, *, transient: bool = False) -> Live:
        """A picture that is drawn again and again in place."""
        return Live(
            picture,
            console=self,
            auto_refresh=False,
            transient=transient,
            redirect_stdout=False,  # rich would obey what others print meanwhile
            redirect_stderr=False,
        )
