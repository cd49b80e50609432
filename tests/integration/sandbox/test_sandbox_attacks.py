"""Programs that would take resources, stay, see the tests or forge a verdict. After each, the server is as before."""

from __future__ import annotations

import time

import pytest

from deepcoder_api.problems import StdinTest, TestSuite
from tests.attacks import ATTACKS
from tests.attacks.attack import breach

# All inside gVisor, as in production; natively, where namespaces stand alone, a sample.
CASES = [("gvisor", attack) for attack in ATTACKS] + [("native", attack) for attack in ATTACKS[::40]]


@pytest.mark.parametrize(
    ("server", "attack"), CASES, indirect=["server"], ids=[f"{kind}-{attack.name}" for kind, attack in CASES]
)
async def test_attack_is_contained(server, grade, clean, attack):
    """No test of it is accepted, in bounded time; the next honest program passes, and no process is left."""
    if attack.only_isolated and not server.isolated:
        pytest.skip("what it wants is there on a bare machine")
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
