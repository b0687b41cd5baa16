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
        .library(name: "FuzzAPI", type: .static, targets: ["FuzzAPI"]),
        .library(name: "FuzzVirtio", type: .static, targets: ["FuzzVirtio"]),
        .library(name: "FuzzAgent", type: .static, targets: ["FuzzAgent"]),
        .library(name: "FuzzFabric", type: .static, targets: ["FuzzFabric"]),
        .library(name: "FuzzImages", type: .static, targets: ["FuzzImages"]),
    ],
    dependencies: [
        .package(path: "../Monitor"), .package(path: "../Guest"), .package(path: "../Fabric"),
        .package(name: "swiftlet", path: ".."),
    ],
    targets: [
        .target(
            name: "FuzzBoot", dependencies: [.product(name: "BootTestSupport", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "FuzzAPI", dependencies: [.product(name: "APITestSupport", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "FuzzVirtio", dependencies: [.product(name: "VirtioTestSupport", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "FuzzAgent", dependencies: [.product(name: "AgentTestSupport", package: "Guest")],
            swiftSettings: settings),
        .target(
            name: "FuzzFabric", dependencies: [.product(name: "FabricTestSupport", package: "Fabric")],
            swiftSettings: settings),
        .target(
            name: "FuzzImages", dependencies: [.product(name: "ImageFixtures", package: "swiftlet")],
            swiftSettings: settings),
    ]
)
