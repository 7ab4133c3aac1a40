"""The contract holds for every policy that dcsim ships."""

from __future__ import annotations

from dcsim.policies.energy import CarbonShift, NoEnergyPolicy, PowerCap, SleepIdle
from dcsim.policies.ordering import Fifo, ShortestFirst
from dcsim.policies.placement import BestFit, FirstFit, RackLocal, Spread
from dcsim.testing import PolicyContract


class TestFirstFit(PolicyContract):
    policy = FirstFit


class TestBestFit(PolicyContract):
    policy = BestFit


class TestSpread(PolicyContract):
    policy = Spread


class TestRackLocal(PolicyContract):
    policy = RackLocal


class TestFifo(PolicyContract):
    policy = Fifo


class TestFifoThatSkips(PolicyContract):
    policy = Fifo(skip=2)


class TestShortestFirst(PolicyContract):
    policy = ShortestFirst


class TestNoEnergyPolicy(PolicyContract):
    policy = NoEnergyPolicy


class TestPowerCap(PolicyContract):
    policy = PowerCap


class TestSleepIdle(PolicyContract):
    policy = SleepIdle(after_s=3.0)


class TestCarbonShift(PolicyContract):
    policy = CarbonShift
