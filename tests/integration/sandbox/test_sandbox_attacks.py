"""Programs that would take resources, stay, see the tests or forge a verdict. After each, the server is as before."""

from __future__ import annotations

import time

import pytest

from deepcoder_api.problems import StdinTest, TestSuite
from tests.attacks import ATTACKS
from tests.attacks.attack import breach


@pytest.mark.parametrize("server", ["gvisor"], indirect=True)
@pytest.mark.parametrize("attack", ATTACKS[::3], ids=lambda attack: attack.name)
async def test_attack_is_contained(grade, clean, attack):
    """No test of it is accepted, in bounded time; the next honest program passes, and no process is left.

    A third of the corpus: `make attacks` runs it all, on a pod.
    """
    await _contained(grade, clean, attack)


@pytest.mark.parametrize("server", ["native"], indirect=True)
@pytest.mark.parametrize("attack", [one for one in ATTACKS if not one.only_isolated][::40], ids=lambda one: one.name)
async def test_attack_is_contained_by_namespaces_alone(grade, clean, attack):
    """A few, where no gVisor stands around them."""
    await _contained(grade, clean, attack)


async def _contained(grade, clean, attack):
    begun = time.monotonic()
    result = await grade(attack.suite, attack.program, attack.limits, stop_on_first_failure=not attack.all_tests)
    assert breach(attack, result, time.monotonic() - begun) == "", result
    await clean()


async def test_program_has_no_network_no_environment_and_only_its_own_streams(grade):
    """From inside: three descriptors, no secret environment, one process, no interface that leads anywhere."""
    program = """
import os, socket
print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')) - 1)
print(sorted(os.environ))
print([n for n in os.listdir('/proc') if n.isdigit()])
for target in (('127.0.0.1', 8000), ('10.96.0.1', 443), ('169.254.169.254', 80), ('1.1.1.1', 443)):
    try:
        socket.create_connection(target, 2)
        print('reached', target)
    except OSError:
        pass
print(os.getuid() != 0, [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')])
"""
    environment = "['LANG', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS']"
    expected = f"[0, 1, 2] 3\n{environment}\n['1']\nTrue ['0000000000000000']"
    result = await grade(TestSuite(tests=(StdinTest(input="", output=expected),)), program)
    assert result.accepted, result
