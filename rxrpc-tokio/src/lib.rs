//! RxRPC, runtime half.
