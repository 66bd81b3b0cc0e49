"""What an operator names for a box, read strictly."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.workflow.box import Host, Mount, check_mounts, is_within, read_host, read_mount

REFUSED_MOUNTS = [
    "", "/srv/docs", "/srv/docs:", "/srv/docs:rx", "/srv/docs:ro,rw", "srv/docs:ro", ":ro", "/:ro",
    "/:rw", "/srv/../etc:ro", "/srv/./a:ro", "/srv//a:ro", "/srv/a/:ro", "//:ro", "/proc:ro",
    "/proc/1:ro", "/sys/fs:ro", "/dev/mem:rw", "/dev:ro", "/etc:ro", "/tmp:rw", "/run:ro", "/maml:rw",
    "/maml/x:ro", "/srv/a\nb:ro", "/srv/a\0b:ro", "~/docs:ro", "$HOME:ro",
]  # fmt: skip
REFUSED_HOSTS = [
    "", "api.github.com", "api.github.com:", "api.github.com:0", "api.github.com:65536",
    "api.github.com:https", "api.github.com:+443", "api.github.com:٤", ":443", "*.github.com:443",
    "*:443", "https://api.github.com:443", "a/b:443", "user@host:443", "0177.0.0.1:80", "2130706433:80",
    "127.1:80", "0x7f.0.0.1:80", "0x7f000001:80", "127.0.0.0x1:80", "::1:443", "[::1:443", "[fe80::1",
    "10.0.0.0/8:80", "a..b:443", "-a.b:443", "host.:443", "a b:443", "ä.example:443",
    "a" * 64 + ".example:443",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED_MOUNTS, ids=range(len(REFUSED_MOUNTS)))
def test_a_mount_that_is_not_a_plain_path_of_a_folder_of_data_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_mount(text)


@pytest.mark.parametrize("text", REFUSED_HOSTS, ids=range(len(REFUSED_HOSTS)))
def test_a_host_that_is_not_one_name_or_address_with_one_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_host(text)


def test_mounts_and_hosts_are_read_as_they_are_written() -> None:
    assert read_mount("/srv/my:docs:ro") == Mount("/srv/my:docs", writable=False)
    assert read_mount("/etc/ssl/certs:rw") == Mount("/etc/ssl/certs", writable=True)
    assert read_host("API.GitHub.com:443") == Host("api.github.com", 443)
    assert read_host("localhost:8080") == Host("localhost", 8080)
    assert read_host("10.0.0.5:5432") == Host("10.0.0.5", 5432)
    assert read_host("[FD00::0005]:443") == Host("fd00::5", 443)


def test_a_name_may_be_at_public_addresses_only_and_an_address_at_itself_alone() -> None:
    name, address = read_host("db.example:5432"), read_host("10.0.0.5:5432")
    assert name.may_be_at(ip_address("8.8.8.8"))
    assert not name.may_be_at(ip_address("10.0.0.5"))
    assert not name.may_be_at(ip_address("169.254.169.254"))
    assert address.may_be_at(ip_address("10.0.0.5"))
    assert not address.may_be_at(ip_address("8.8.8.8"))
    assert not address.may_be_at(ip_address("::ffff:10.0.0.5"))


def test_nothing_is_mounted_twice_or_below_what_the_program_may_change() -> None:
    check_mounts((Mount("/srv", False), Mount("/srv/out", True), Mount("/srv-2", False)))
    with pytest.raises(ValueError, match="which the program may change"):
        check_mounts((Mount("/srv/docs", False), Mount("/srv", True)))
    with pytest.raises(ValueError, match="named twice"):
        check_mounts((Mount("/srv", False), Mount("/srv", True)))


@given(st.text(alphabet="a/.", max_size=12), st.sampled_from(["ro", "rw"]))
def test_a_mount_that_is_read_is_the_only_spelling_of_its_path(path: str, access: str) -> None:
    try:
        mount = read_mount(f"{path}:{access}")
    except ValueError:
        return
    assert mount.path == path
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert is_within(path + "/x", path)
    assert not is_within(path + "x", path)
