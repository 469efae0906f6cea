#![no_main]

libfuzzer_sys::fuzz_target!(init: qare_fuzz_harness::leave_decoders_alone(), |bytes: &[u8]| qare_fuzz_harness::read("matfiles", bytes));
