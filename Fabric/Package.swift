// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "Fabric",
    products: [
        .library(name: "FabricProtocol", targets: ["FabricProtocol"]),
        .library(name: "Packets", targets: ["Packets"]),
        .library(name: "Seeing", targets: ["Seeing"]),
        .library(name: "Wiring", targets: ["Wiring"]),
        .library(name: "FabricTestSupport", targets: ["FabricTestSupport"]),
        .executable(name: "swiftlet-fabric", targets: ["swiftlet-fabric"]),
    ],
    dependencies: [.package(path: "../Monitor"), .package(path: "../Guest")],
    targets: [
        .target(
            name: "FabricProtocol",
            dependencies: [
                .product(name: "AgentProtocol", package: "Guest"), .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "FabricRules", dependencies: ["FabricProtocol", .product(name: "AgentProtocol", package: "Guest")],
            swiftSettings: settings),
        .target(
            name: "Wiring",
            dependencies: [
                .product(name: "AgentProtocol", package: "Guest"), .product(name: "CLinux", package: "Monitor"),
                .product(name: "LinuxCalls", package: "Monitor"), .product(name: "Netlink", package: "Monitor"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "Packets",
            dependencies: [
                "FabricProtocol", .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "LinuxCalls", package: "Monitor"), .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "Seeing",
            dependencies: [
                "FabricProtocol", "Packets", "Wiring", .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "CLinux", package: "Monitor"), .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "Impairing",
            dependencies: [
                "FabricProtocol", "Wiring", .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "CLinux", package: "Monitor"), .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "FabricEngine",
            dependencies: [
                "FabricProtocol", "FabricRules", "Impairing", "Wiring",
                .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "ChildPrograms", package: "Guest"), .product(name: "CLinux", package: "Monitor"),
                .product(name: "LinuxCalls", package: "Monitor"), .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-fabric",
            dependencies: [
                "FabricEngine", "FabricProtocol", "Impairing", "Packets", "Seeing",
                .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "LinuxCalls", package: "Monitor"), .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "PacketsTests",
            dependencies: [
                "FabricTestSupport", "Packets", "Seeing", "Wiring", .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ImpairingTests",
            dependencies: ["FabricProtocol", "Impairing", .product(name: "LinuxCalls", package: "Monitor")],
            swiftSettings: settings),
        .testTarget(
            name: "WiringTests",
            dependencies: [
                "Wiring", .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "CLinux", package: "Monitor"), .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "Netlink", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "FabricTestSupport",
            dependencies: [
                "FabricEngine", "FabricProtocol", "FabricRules", "Packets", "Seeing", "Wiring",
                .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "LinuxCalls", package: "Monitor"), .product(name: "WireFormats", package: "Monitor"),
            ],
            path: "Tests/TestSupport/FabricTestSupport", swiftSettings: settings),
        .testTarget(
            name: "FabricProtocolTests",
            dependencies: [
                "FabricProtocol", "FabricTestSupport", .product(name: "AgentProtocol", package: "Guest"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "FabricRulesTests",
            dependencies: [
                "FabricProtocol", "FabricRules", "FabricTestSupport", "swiftlet-fabric",
                .product(name: "AgentProtocol", package: "Guest"), .product(name: "ChildPrograms", package: "Guest"),
            ],
            exclude: ["frames.py", "published.sh", "published-ipv6.sh", "published-support.sh"], swiftSettings: settings
        ),
        .testTarget(
            name: "FabricEngineTests",
            dependencies: [
                "FabricEngine", "FabricProtocol", "FabricRules", "Wiring",
                .product(name: "AgentProtocol", package: "Guest"), .product(name: "ChildPrograms", package: "Guest"),
                .product(name: "CLinux", package: "Monitor"), .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            exclude: ["guest.py", "stranger.py"], swiftSettings: settings),
    ]
)
