"""The page about audit controls names each type of entry once, in its class, with the days it is held."""

from tests.docs.tables import rows, sections, words

from macroslow.services.audit.tell_entry import TYPES
from macroslow.settings.log import HoldDays
from macroslow.tlog.event import CLASSES, EventClass

PAGE = "reference/audit-controls.md"


def test_each_type_stands_in_its_class_with_the_days_of_its_setting() -> None:
    told = {cells[0]: cells for cells in rows(sections(PAGE)["Classes of entries"])[1:]}
    assert set(told) == {each.name.lower() for each in EventClass}
    for name, (_, types, held) in told.items():
        assert set(words(types)) == {
            kind for kind, number in TYPES.items() if CLASSES[number].name.lower() == name
        }
        assert words(held) == [f"log.hold_days.{name}"]
        assert f" {getattr(HoldDays(), name)} days" in held
