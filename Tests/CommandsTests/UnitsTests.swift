import Testing

@testable import Commands

@Suite struct UnitsTests {
    @Test(arguments: [Int64.min, .max])
    func `a time from a damaged record ends nobody`(seconds: Int64) {
        #expect(Units.since(seconds).hasSuffix(" ago"))
    }

    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"),
            (3 << 30, "3 GiB"),
        ] as [(UInt64, String)])
    func `sizes are shown in the unit that keeps them short`(bytes: UInt64, text: String) {
        #expect(Units.size(bytes) == text)
    }

    @Test(
        arguments: [
            ("512", 512), ("512M", 512), ("512MiB", 512), ("2G", 2048), ("1.5g", 1536), ("2048K", 2), ("0", 0),
        ] as [(String, Int)])
    func `memory may be given in any unit and is MiB without one`(text: String, mebibytes: Int) {
        #expect(Units.mebibytes(text) == mebibytes)
    }

    @Test(arguments: ["", "M", "-1", "1X", "nan", "inf", "1e99", "12 M", "1..2"])
    func `what is no size is refused`(text: String) {
        #expect(Units.mebibytes(text) == nil)
    }

    @Test(arguments: [("10", 10), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("1.5s", 1.5)] as [(String, Double)])
    func `times may be given in any unit and are seconds without one`(text: String, seconds: Double) {
        #expect(Units.seconds(text) == seconds)
    }

    @Test(arguments: ["", "s", "-1s", "5x", "nan"])
    func `what is no time is refused`(text: String) {
        #expect(Units.seconds(text) == nil)
    }
}
