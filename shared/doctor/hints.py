"""Text to paste: boot line, udev rule, limits file."""

from __future__ import annotations

from shared.config.machine import format_cpu_list
from shared.doctor.finding import Subject


def fix_hints(subject: Subject) -> str:
    """For the configured CPUs and priority; every part names the file that it goes into."""
    shown = subject.shown_cpus
    others = format_cpu_list(subject.machine.online_cpus() - set(subject.cpus))
    boot = f"isolcpus=managed_irq,domain,{shown} nohz_full={shown} rcu_nocbs={shown}"
    if others != "none":
        boot += f" irqaffinity={others}"
    priority = subject.config.cpu_affinity.rt_process.priority
    return f"""\
# /etc/default/grub: add to GRUB_CMDLINE_LINUX, then update-grub and reboot
{boot} transparent_hugepage=madvise

# /etc/udev/rules.d/99-mxrc.rules, then udevadm control --reload && udevadm trigger
KERNEL=="cpu_dma_latency", GROUP="mxrc", MODE="0660"

# /etc/security/limits.d/99-mxrc.conf, then log in again (groupadd mxrc; usermod -aG mxrc USER)
@mxrc  -  rtprio   {priority or 80}
@mxrc  -  memlock  unlimited

# /etc/sysctl.d/99-mxrc.conf, then sysctl --system (the first line only for busy waiting)
kernel.sched_rt_runtime_us = -1
kernel.numa_balancing = 0
"""
