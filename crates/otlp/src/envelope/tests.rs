use super::*;
use crate::wire::put_bytes;

fn nested(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, body);
    out
}

fn walk_all(request: &[u8]) -> Envelopes {
    Envelopes::walk(request, |_, _| Ok(true)).unwrap()
}

fn described(envelopes: &Envelopes, request: &[u8], envelope: u32) -> (Vec<u8>, Vec<u8>) {
    let resource = envelopes.resource_parts(request, envelope).collect::<Vec<_>>();
    (resource.concat(), envelopes.scope_parts(request, envelope).collect::<Vec<_>>().concat())
}

#[test]
fn descriptions_are_found_wherever_they_stand() {
    let item = nested(ITEMS, b"an item");
    let scope = [&nested(1, b"scope")[..], &item, &nested(3, b"schema"), b"\x20\x07", &item].concat();
    let resource =
        [&nested(SCOPES, &scope)[..], &nested(3, b"url"), &nested(SCOPES, &item), &nested(1, b"resource")];
    let request = [nested(RESOURCES, &resource.concat()), nested(RESOURCES, &nested(SCOPES, &item))].concat();

    let mut items = Vec::new();
    let envelopes = Envelopes::walk(&request, |envelope, body| {
        items.push((envelope, &request[body.start as usize..body.end as usize]));
        Ok(true)
    })
    .unwrap();
    assert_eq!(items, [0, 0, 1, 2].map(|envelope| (envelope, &b"an item"[..])));
    let of_resource = [nested(3, b"url"), nested(1, b"resource")].concat();
    let of_scope = [&nested(1, b"scope")[..], &nested(3, b"schema"), b"\x20\x07"].concat();
    assert_eq!(described(&envelopes, &request, 0), (of_resource.clone(), of_scope));
    assert_eq!(described(&envelopes, &request, 1), (of_resource, Vec::new()));
    assert_eq!(described(&envelopes, &request, 2), (Vec::new(), Vec::new()));
    assert_eq!([0, 1, 2].map(|envelope| envelopes.resource_number(envelope)), [0, 0, 1]);
}

#[test]
fn parts_that_touch_are_one() {
    let scope = [nested(1, b"scope"), nested(3, b"schema"), nested(9, b"later"), nested(ITEMS, b"")].concat();
    let resource = [nested(1, b"resource"), nested(3, b"url"), nested(SCOPES, &scope)].concat();
    let request = nested(RESOURCES, &resource);
    let envelopes = walk_all(&request);
    assert_eq!(
        (envelopes.resource_parts(&request, 0).count(), envelopes.scope_parts(&request, 0).count()),
        (1, 1)
    );
}

#[test]
fn envelopes_without_a_wanted_item_leave_no_trace() {
    let scope = |body: &[u8]| nested(SCOPES, &[nested(1, b"scope"), nested(ITEMS, body)].concat());
    let resource = |scopes: &[u8]| nested(RESOURCES, &[nested(1, b"resource"), scopes.to_vec()].concat());
    let request =
        [resource(&scope(b"bad")), resource(&[scope(b"bad"), scope(b"good")].concat()), resource(b"")]
            .concat();
    let mut numbers = Vec::new();
    let envelopes = Envelopes::walk(&request, |envelope, body| {
        numbers.push(envelope);
        Ok(&request[body.start as usize..body.end as usize] == b"good")
    })
    .unwrap();
    assert_eq!(numbers, [0, 0, 0], "an envelope that is not recorded gives its number to the next");
    assert_eq!((envelopes.len(), envelopes.parts.len()), (1, 2));
    assert_eq!(envelopes.resource_number(0), 1);
    assert!(walk_all(b"").is_empty());
}

#[test]
fn what_is_nested_under_another_wire_type_is_description() {
    let request = nested(RESOURCES, &nested(SCOPES, b"\x10\x05\x12\x00"));
    assert_eq!(described(&walk_all(&request), &request, 0), (Vec::new(), b"\x10\x05".to_vec()));
}

#[test]
fn envelopes_in_the_most_pieces_take_a_few_times_their_request() {
    for pieces in [
        // Resources with a scope with an item; scopes with an item and a part; items and parts by turns.
        nested(RESOURCES, &nested(SCOPES, &nested(ITEMS, b""))).repeat(100_000),
        nested(RESOURCES, &[&nested(SCOPES, &nested(ITEMS, b""))[..], b"\x18\x00"].concat().repeat(100_000)),
        nested(RESOURCES, &nested(SCOPES, &[&nested(ITEMS, b"")[..], b"\x18\x00"].concat().repeat(100_000))),
    ] {
        let envelopes = walk_all(&pieces);
        let taken = envelopes.parts.capacity() * size_of::<Range<u32>>()
            + envelopes.envelopes.capacity() * size_of::<Envelope>();
        assert!(taken <= 10 * pieces.len(), "{taken} bytes for {}", pieces.len());
    }
}
