"""iperf3 from a guest to its host and back."""
from traffic import *

MEBIBYTES = int(os.environ.get("MEBIBYTES", 64))
TRANSFER = f"$bb chroot /root iperf3 -c {TAP_ADDRESS} -n {MEBIBYTES}M -f m"
RATE = r"([0-9.]+) Mbits/sec +receiver"

finished = [
    compare("iperf3 from the guest", "Mbit/s", f"{TRANSFER} | $bb grep receiver", RATE),
    compare("iperf3 to the guest", "Mbit/s", f"{TRANSFER} -R | $bb grep receiver", RATE),
]
sys.exit(not all(finished))
