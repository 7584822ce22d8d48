//! Matrices as they come: built in, by hand, and wrong.

use super::*;
use rand::SeedableRng;

const MS: Duration = Duration::from_millis(1);

fn wrong(text: &str) -> String {
    Matrix::parse(text, "m.csv").expect_err("this is no matrix").to_string()
}

#[test]
fn the_built_in_matrix_has_222_cities_and_the_percentiles_that_its_readme_tells() {
    let matrix = Matrix::built_in("wonder222").expect("it is built in");
    assert_eq!((matrix.places(), matrix.filled()), (222, 0));
    let pairs = (0..222).flat_map(|from| (0..222).map(move |to| (from, to))).filter(|(from, to)| from != to);
    let mut trips: Vec<_> = pairs.map(|(from, to)| matrix.one_way(from, to) * 2).collect();
    trips.sort_unstable();
    let share = |percent: usize| trips[trips.len() * percent / 100].as_secs_f64() * 1000.0;
    for (percent, told) in [(10, 35.0), (50, 141.0), (90, 280.0), (99, 377.0)] {
        assert!((share(percent) - told).abs() < 1.0, "{percent} %: {} ms", share(percent));
    }
    assert!(Matrix::built_in("nowhere").is_err_and(|error| error.to_string().contains("wonder222")));
}

#[test]
fn a_varied_matrix_keeps_the_mean_and_varies_and_an_unvaried_one_does_not() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let plain = Matrix::built_in("wonder222").expect("it is built in");
    let varied = Matrix::built_in("wonder222+jitter").expect("it is built in");
    let mut draw = |matrix: &Matrix| -> Vec<Duration> { (0..4000).map(|_| matrix.draw(3, 77, &mut rng)).collect() };
    let mean = plain.one_way(3, 77);
    assert!(draw(&plain).iter().all(|span| *span == mean), "the control");
    let spans = draw(&varied);
    let average = spans.iter().sum::<Duration>() / 4000;
    assert!(average.abs_diff(mean) < mean / 50, "{average:?} against {mean:?}");
    assert!(spans.iter().any(|span| *span != spans[0]));
}

#[test]
fn a_matrix_need_not_be_symmetric_and_holds_round_trips_in_milliseconds() {
    let matrix = Matrix::parse("1, 10, 20\n12,1,30\n22.5,32,1\n", "m.csv").expect("a matrix");
    assert_eq!((matrix.one_way(0, 1), matrix.one_way(1, 0), matrix.one_way(2, 0)), (MS * 5, MS * 6, MS * 45 / 4));
    assert_eq!(matrix.one_way(3, 4), matrix.one_way(0, 1), "places begin again");
}

#[test]
fn names_and_comments_are_passed_over_and_what_was_not_measured_is_filled_in() {
    let matrix = Matrix::parse("# of a cloud\nfrom,a,b,c\na,1,10,0\nb,12,1,\nc,,40,1\n", "m.csv").expect("a matrix");
    assert_eq!((matrix.places(), matrix.filled()), (3, 3));
    assert_eq!(matrix.one_way(1, 2), MS * 20, "as the other direction");
    assert_eq!(matrix.one_way(0, 2), matrix.one_way(2, 0), "the median of all");
}

#[test]
fn an_unreadable_matrix_is_told_in_one_line_with_its_place() {
    assert_eq!(wrong("1,2\n3,x\n"), "m.csv:2:3: not a number: x");
    assert_eq!(wrong("1,2\n-3,4\n"), "m.csv:2:1: -3 ms is no round trip: it is from 0 to 1000000");
    assert_eq!(wrong("1,2\n3\n"), "m.csv:2:1: 1 round trips in a row of a matrix of 2 rows");
    assert_eq!(wrong("a,b,c\nb,1,2\nc,3,NaN\n"), "m.csv:3:5: NaN ms is no round trip: it is from 0 to 1000000");
    assert_eq!(wrong(""), "m.csv:1:1: no round trips");
    let missing = Matrix::load("/there/is/no/such.csv").expect_err("no file").to_string();
    assert!(missing.starts_with("/there/is/no/such.csv: ") && !missing.contains('\n'), "{missing}");
}
