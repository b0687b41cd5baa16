// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "Guest",
    products: [
        .library(name: "AgentProtocol", targets: ["AgentProtocol"]),
        .library(name: "ChildPrograms", targets: ["ChildPrograms"]),
        .library(name: "FileTransfer", targets: ["FileTransfer"]),
        .library(name: "SettingsFloppy", targets: ["SettingsFloppy"]),
        .library(name: "AgentTestSupport", targets: ["AgentTestSupport"]),
        .executable(name: "swiftlet-agent", targets: ["swiftlet-agent"]),
        .executable(name: "swiftlet-firewall", targets: ["swiftlet-firewall"]),
        .executable(name: "swiftlet-sniffer", targets: ["swiftlet-sniffer"]),
        .executable(name: "swiftlet-impair", targets: ["swiftlet-impair"]),
    ],
    dependencies: [.package(path: "../Monitor")],
    targets: [
        .target(
            name: "AgentProtocol", dependencies: [.product(name: "WireFormats", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "FileTransfer", dependencies: ["AgentProtocol", .product(name: "LinuxCalls", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "ChildPrograms",
            dependencies: ["AgentProtocol", "FileTransfer", .product(name: "LinuxCalls", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "SettingsFloppy", dependencies: [.product(name: "WireFormats", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "GuestNetwork",
            dependencies: [
                "AgentProtocol", "FileTransfer", .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "Netlink", package: "Monitor"), .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "Agent",
            dependencies: [
                "AgentProtocol", "FileTransfer", "GuestNetwork", "SettingsFloppy",
                .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-agent", dependencies: ["Agent", .product(name: "LinuxCalls", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "ApplianceGuest",
            dependencies: [
                "AgentProtocol", "FileTransfer", .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(name: "FirewallPlan", dependencies: ["AgentProtocol", "ApplianceGuest"], swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-firewall",
            dependencies: [
                "AgentProtocol", "ApplianceGuest", "ChildPrograms", "FileTransfer", "FirewallPlan", "GuestNetwork",
                .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(name: "SnifferPlan", dependencies: ["AgentProtocol", "ApplianceGuest"], swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-sniffer",
            dependencies: [
                "AgentProtocol", "ApplianceGuest", "ChildPrograms", "FileTransfer", "GuestNetwork", "SnifferPlan",
                .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(name: "ImpairPlan", dependencies: ["AgentProtocol", "ApplianceGuest"], swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-impair",
            dependencies: [
                "AgentProtocol", "ApplianceGuest", "ChildPrograms", "FileTransfer", "GuestNetwork", "ImpairPlan",
                .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
        .target(
            name: "AgentTestSupport",
            dependencies: [
                "AgentProtocol", "ApplianceGuest", "FirewallPlan", "ImpairPlan", "SettingsFloppy", "SnifferPlan",
            ],
            path: "Tests/TestSupport/AgentTestSupport",
            swiftSettings: settings),
        .testTarget(
            name: "AgentProtocolTests",
            dependencies: ["AgentProtocol", "AgentTestSupport", .product(name: "WireFormats", package: "Monitor")],
            swiftSettings: settings),
        .testTarget(
            name: "SettingsFloppyTests", dependencies: ["SettingsFloppy", "AgentTestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "FirewallPlanTests", dependencies: ["AgentProtocol", "ApplianceGuest", "FirewallPlan"],
            swiftSettings: settings),
        .testTarget(
            name: "SnifferPlanTests", dependencies: ["AgentProtocol", "ApplianceGuest", "SnifferPlan"],
            swiftSettings: settings),
        .testTarget(
            name: "ImpairPlanTests", dependencies: ["AgentProtocol", "ApplianceGuest", "ImpairPlan"],
            swiftSettings: settings),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "AgentProtocol", "swiftlet-agent", .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
    ]
)
