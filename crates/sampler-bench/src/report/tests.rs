use super::*;

#[test]
fn a_template_is_filled_and_what_fills_it_is_not_read_again() {
    let mut out = String::new();
    fill(&mut out, "a<!--x-->b<!--unknown-->c", &[("x", "<!--x-->")]);
    assert_eq!(out, "a<!--x-->bc");
}

#[test]
fn the_page_fetches_nothing() {
    for part in [TEMPLATE, STYLE, SCRIPT] {
        assert!(!part.contains("http://") && !part.contains("https://"));
        assert!(!part.contains("fetch(") && !part.contains("@import"));
    }
    assert!(!CHARTS.contains("</script"));
}
