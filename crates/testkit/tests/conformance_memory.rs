//! The memory store against the suite.

use authflow_core::MemoryStateStore;
use authflow_testkit::state_store_conformance;

state_store_conformance!(memory, || async { MemoryStateStore::default() });
