// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// Measurements that need no guest; each product prints its figures and how they came about.
let package = Package(
    name: "Benchmarks",
    dependencies: [.package(path: "../Monitor")],
    targets: [
        .executableTarget(
            name: "block-engines", dependencies: [.product(name: "VirtioTestSupport", package: "Monitor")],
            swiftSettings: settings)
    ]
)
