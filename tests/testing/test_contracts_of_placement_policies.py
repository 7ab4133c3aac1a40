"""The contract holds for every placement policy that dcsim ships beside the first four."""

from __future__ import annotations

from dcsim.policies.placement import WorstFit
from dcsim.policies.placement_fgd import FragmentationGradient
from dcsim.policies.placement_random import RandomFit
from dcsim.policies.placement_scores import BestFitVector, DotProduct, GpuClustering, GpuPacking
from dcsim.policies.placement_thermal import CoolestInlet, LeastRecirculation, MinimalHottest
from dcsim.policies.placement_topology import Consolidated, TopologyAware
from dcsim.policies.placement_types import FastestFirst, LeastContended
from dcsim.testing import PolicyContract


class TestWorstFit(PolicyContract):
    policy = WorstFit


class TestRandomFit(PolicyContract):
    policy = RandomFit


class TestBestFitVector(PolicyContract):
    policy = BestFitVector


class TestDotProduct(PolicyContract):
    policy = DotProduct


class TestGpuClustering(PolicyContract):
    policy = GpuClustering


class TestGpuPacking(PolicyContract):
    policy = GpuPacking


class TestFragmentationGradient(PolicyContract):
    policy = FragmentationGradient


class TestConsolidated(PolicyContract):
    policy = Consolidated


class TestTopologyAware(PolicyContract):
    policy = TopologyAware


class TestFastestFirst(PolicyContract):
    policy = FastestFirst


class TestLeastContended(PolicyContract):
    policy = LeastContended


class TestCoolestInlet(PolicyContract):
    policy = CoolestInlet


class TestLeastRecirculation(PolicyContract):
    policy = LeastRecirculation


class TestMinimalHottest(PolicyContract):
    policy = MinimalHottest
