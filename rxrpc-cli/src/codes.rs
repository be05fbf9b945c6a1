//! Names of abort codes: those of the transport, and those of the AFS services people meet.

use rxrpc_tokio::AbortCode;
use rxrpc_tokio::proto::wire::{RxgkCode, SECURITY_RXGK, SECURITY_YFS_RXGK};

/// Volume location service, from 363520 on.
const VL: (i32, &[&str]) = (
    363_520,
    &[
        "VL_IDEXIST",
        "VL_IO",
        "VL_NAMEEXIST",
        "VL_CREATEFAIL",
        "VL_NOENT",
        "VL_EMPTY",
        "VL_ENTDELETED",
        "VL_BADNAME",
        "VL_BADINDEX",
        "VL_BADVOLTYPE",
        "VL_BADSERVER",
        "VL_BADPARTITION",
        "VL_REPSFULL",
        "VL_NOREPSERVER",
        "VL_DUPREPSERVER",
        "VL_RWNOTFOUND",
        "VL_BADREFCOUNT",
        "VL_SIZEEXCEEDED",
        "VL_BADENTRY",
        "VL_BADVOLIDBUMP",
        "VL_IDALREADYHASHED",
        "VL_ENTRYLOCKED",
        "VL_BADVOLOPER",
        "VL_BADRELLOCKTYPE",
        "VL_RERELEASE",
        "VL_BADSERVERFLAG",
        "VL_PERM",
        "VL_NOMEM",
        "VL_BADVERSION",
        "VL_INDEXERANGE",
        "VL_MULTIPADDR",
        "VL_BADMASK",
    ],
);

/// Protection service, from 267264 on.
const PR: (i32, &[&str]) = (
    267_264,
    &[
        "PREXIST",
        "PRIDEXIST",
        "PRNOIDS",
        "PRDBFAIL",
        "PRNOENT",
        "PRPERM",
        "PRNOTGROUP",
        "PRNOTUSER",
        "PRBADNAM",
        "PRBADARG",
        "PRNOMORE",
        "PRDBBAD",
        "PRGROUPEMPTY",
        "PRINCONSISTENT",
        "PRBADDR",
        "PRTOOMANY",
    ],
);

/// Volumes of a fileserver, from 101 on.
const VOLUME: (i32, &[&str]) = (
    101,
    &[
        "VSALVAGE",
        "VNOVNODE",
        "VNOVOL",
        "VVOLEXISTS",
        "VNOSERVICE",
        "VOFFLINE",
        "VONLINE",
        "VDISKFULL",
        "VOVERQUOTA",
        "VBUSY",
        "VMOVED",
    ],
);

/// Replication of the databases.
const UBIK: (i32, &[&str]) = (5_376, &["UNOQUORUM"]);

/// The name of a code, or two where two dialects disagree.
pub(crate) fn name(code: AbortCode) -> Option<String> {
    if let Some(name) = code.name() {
        return Some(name.to_string());
    }
    for (first, names) in [VL, PR, VOLUME, UBIK] {
        let place = code.0.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        if let Some(name) = place.and_then(|i| names.get(i)) {
            return Some((*name).to_string());
        }
    }
    let rxgk = |index| RxgkCode::from_code(code, index).map(RxgkCode::name);
    match (rxgk(SECURITY_RXGK), rxgk(SECURITY_YFS_RXGK)) {
        (Some(rxgk), Some(yfs)) if rxgk != yfs => Some(format!("{rxgk}, with yfs-rxgk {yfs}")),
        (Some(name), _) | (None, Some(name)) => Some(name.to_string()),
        (None, None) => None,
    }
}

/// A code with its name.
pub(crate) fn describe(code: AbortCode) -> String {
    match name(code) {
        Some(name) => format!("{} ({name})", code.0),
        None => code.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_transport_and_of_afs_services_have_names() {
        for (code, text) in [
            (-1, "-1 (RX_CALL_DEAD)"),
            (-455, "-455 (RXGEN_OPCODE)"),
            (19_270_407, "19270407 (RXKADBADTICKET)"),
            (363_524, "363524 (VL_NOENT)"),
            (363_546, "363546 (VL_PERM)"),
            (267_269, "267269 (PRPERM)"),
            (5_376, "5376 (UNOQUORUM)"),
            (103, "103 (VNOVOL)"),
            (12_345, "12345"),
            (i32::MIN, "-2147483648"),
        ] {
            assert_eq!(describe(AbortCode(code)), text);
        }
    }

    #[test]
    fn codes_that_mean_two_things_are_given_both_names() {
        assert_eq!(describe(AbortCode(1_233_242_880)), "1233242880 (RXGK_INCONSISTENCY)");
        let both = describe(AbortCode(1_233_242_887));
        assert!(both.contains("RXGK_NOTAUTH") && both.contains("RXGK_BADKEYNO"), "{both}");
    }
}
