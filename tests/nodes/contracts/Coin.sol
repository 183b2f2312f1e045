// SPDX-License-Identifier: AGPL-3.0-or-later
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A token that keeps to ERC-20: every change of a balance has its Transfer.
contract Coin is ERC20 {
    constructor() ERC20("Test Coin", "COIN") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    /// Many transfers in one transaction: as many logs.
    function spread(address[] calldata to, uint256 amount) external {
        for (uint256 i = 0; i < to.length; i++) {
            _transfer(msg.sender, to[i], amount);
        }
    }

    /// Moves tokens, then fails: nothing may be left of it.
    function transferAndFail(address to, uint256 amount) external {
        _transfer(msg.sender, to, amount);
        revert("changed my mind");
    }

    function tryTransferAndFail(address to, uint256 amount) external {
        try this.transferAndFail(to, amount) {} catch {}
    }
}
