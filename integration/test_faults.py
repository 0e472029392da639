"""Some of the cases of `make faults` (docs/testing.md): kernel calls of the runtime fail, the program does not notice."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_faults(programs):
    made = subprocess.run(["make", "-s", "-j2", "FAULTS=1", "lib"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    done = subprocess.run([ROOT / "integration" / "faults.py", "--every", "40"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
