// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// One static library for each wing, which Scripts/fuzz links with libFuzzer; a library, because the package manager
/// gives an executable a main of its own.
let package = Package(
    name: "Fuzz",
    products: [
        .library(name: "FuzzBoot", type: .static, targets: ["FuzzBoot"]),
        .library(name: "FuzzVirtio", type: .static, targets: ["FuzzVirtio"]),
    ],
    dependencies: [.package(path: "../Monitor")],
    targets: [
        .target(
            name: "FuzzBoot", dependencies: [.product(name: "BootTestSupport", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "FuzzVirtio", dependencies: [.product(name: "VirtioTestSupport", package: "Monitor")],
            swiftSettings: settings)
    ]
)
