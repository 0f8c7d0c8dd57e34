"""The order of the container tests: two workers take a file each, the longest first."""

import pytest

# By the seconds that each takes, so that both workers end together; a file that is not here is
# taken after these. It means nothing but time: no file needs another.
LONGEST_FIRST = (
    "test_compose",
    "test_compose_scale",
    "test_own_project_runs",
    "test_own_project",
    "test_compose_runs",
    "test_compose_observability",
    "test_compose_bad_states",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file; the tests of a file stay in their order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
