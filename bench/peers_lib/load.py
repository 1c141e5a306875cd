"""How busy other programs keep the processors."""
import os
import resource


def busy_seconds():
    """Of all processors together since the machine started: everything but idle time, stolen time included."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, irq, soft_irq, steal = (int(n) for n in file.readline().split()[1:9])
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")


def our_seconds():
    """Of this process and of the programs that it has run to their end."""
    return sum(use.ru_utime + use.ru_stime
               for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


class OthersLoad:
    """The processors, counted with a fraction, that others took since this was made."""

    def __init__(self):
        self.busy = busy_seconds()
        self.ours = our_seconds()
        self.uptime = os.times().elapsed

    def processors(self):
        passed = max(os.times().elapsed - self.uptime, 1e-9)
        return max(0.0, (busy_seconds() - self.busy) - (our_seconds() - self.ours)) / passed
