// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate where the module is not loaded: needs root.

use memscope::{current, Client, Device, ErrorKind, Scopes};

/// IO_FLUSHER is set, nested and restored by prctl.
#[test]
fn prctl_does_what_it_can() {
    let client = Client::new();
    assert_eq!(client.device().unwrap_err().kind(), ErrorKind::NoModule);
    let guard = client.enter(Scopes::IO_FLUSHER).unwrap();
    assert_eq!(current().unwrap(), Scopes::IO_FLUSHER);
    {
        let _inner = client.enter(Scopes::NOIO).unwrap();
        assert_eq!(current().unwrap(), Scopes::IO_FLUSHER);
    }
    assert_eq!(current().unwrap(), Scopes::IO_FLUSHER);
    guard.leave().unwrap();
    assert_eq!(current().unwrap(), Scopes::empty());
    client.add(Scopes::IO_FLUSHER).unwrap();
    assert_eq!(client.get().unwrap(), Scopes::IO_FLUSHER);
    client.set(Scopes::empty()).unwrap();
    assert_eq!(current().unwrap(), Scopes::empty());
}

/// What prctl cannot do is refused, with advice, and changes nothing: not rounded up to what it
/// can.
#[test]
fn the_rest_is_refused() {
    let client = Client::new();
    for scopes in [
        Scopes::NOIO,
        Scopes::NOFS,
        Scopes::LOCAL_THROTTLE,
        Scopes::FS_FLUSHER,
        Scopes::all(),
    ] {
        let error = client.enter(scopes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoModule, "{scopes}: {error}");
        assert!(error.to_string().contains("modprobe memscope"), "{error}");
        assert_eq!(current().unwrap(), Scopes::empty());
    }
    let error = Device::open().unwrap_err();
    assert!(error.to_string().contains("modprobe memscope"), "{error}");
}
