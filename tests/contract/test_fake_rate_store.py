"""The store in memory passes the contract of real ones."""

import pytest
from tests.contract.fake_rate_store import FakeRates, FakeRateStore
from tests.contract.rate_store_contract import RateStoreContract


class TestFakeRateStore(RateStoreContract):
    @pytest.fixture
    def stores(self):
        rates = FakeRates()
        return FakeRateStore(rates), FakeRateStore(rates)
